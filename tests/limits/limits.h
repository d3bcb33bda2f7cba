/* What the program does on a driver that misbehaves: the parts of the test. They share the files
 * that limits.c makes in the current folder: x.npy, y.npy (digits and their labels), a classifier
 * with bounds in classes.safetensors, another of 16 channels in wide.safetensors, a density in
 * density.safetensors, and z.npy. */
#ifndef LIMITS_H
#define LIMITS_H

/* A device that fails at call k, for every k. */
void limits_faults(void);
/* The same where it is a GPU, with local memory and CLBlast. */
void limits_gpu_faults(void);
/* A driver that reports absurd limits. */
void limits_lies(void);
/* A device with too little memory: batches are divided, or a sentence says which would fit. */
void limits_memory(void);

#endif
