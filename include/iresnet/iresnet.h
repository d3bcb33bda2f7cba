/* All of libiresnet. */
#ifndef IRESNET_H
#define IRESNET_H

#include <iresnet/array.h>
#include <iresnet/bench.h>
#include <iresnet/certify.h>
#include <iresnet/check.h>
#include <iresnet/conditioning.h>
#include <iresnet/context.h>
#include <iresnet/data.h>
#include <iresnet/density.h>
#include <iresnet/image.h>
#include <iresnet/model.h>
#include <iresnet/roulette.h>
#include <iresnet/status.h>
#include <iresnet/train.h>
#include <iresnet/tune.h>

#endif
