/* iresnet train */
#include "train.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* DIR/NAME */
static char *join(const char *folder, const char *name)
{
    size_t size = strlen(folder) + strlen(name) + 2;
    char *path = malloc(size);
    if (path)
        snprintf(path, size, "%s/%s", folder, name);
    return path;
}

static int make_paths(training *self)
{
    const char *folder = self->files.out;
    self->model_path = join(folder, "model.safetensors");
    self->checkpoint_path = join(folder, "checkpoint.safetensors");
    self->log_path = self->files.log ? strdup(self->files.log) : join(folder, "log.jsonl");
    if (!self->model_path || !self->checkpoint_path || !self->log_path)
        return cli_error(&self->session, CLI_FAILED, "no memory for the names of files");
    return CLI_DONE;
}

/* An earlier run's files are replaced only on demand. */
static int refuse_existing(training *self)
{
    const char *const paths[] = {self->model_path, self->checkpoint_path, self->log_path};
    struct stat known;
    if (self->files.force || self->files.resume)
        return CLI_DONE;
    for (size_t i = 0; i < 3; i++)
        if (stat(paths[i], &known) == 0)
            return cli_error(&self->session, CLI_FAILED,
                             "%s exists; give --force to replace it, or --resume to go on",
                             paths[i]);
    return CLI_DONE;
}

/* With --resume the checkpoint has said it all. */
static int check_resume(training *self)
{
    if (!self->files.resume)
        return CLI_DONE;
    const char *other = cli_first_given(&self->groups[TRAIN_MODEL], NULL);
    if (!other)
        other = cli_first_given(&self->groups[TRAIN_SCHEDULE], "epochs");
    if (!other && self->files.preset)
        other = "preset";
    if (!other && cli_given(&self->groups[TRAIN_FILES], "task"))
        other = "task";
    if (!other && self->files.force)
        other = "force";
    if (!other && cli_given(&self->groups[TRAIN_COMMON], "seed"))
        other = "seed";
    if (other)
        return cli_error(&self->session, CLI_USAGE,
                         "--%s cannot go with --resume: the checkpoint rules", other);
    return CLI_DONE;
}

static int check_usage(training *self)
{
    const train_files *files = &self->files;
    cli_session *session = &self->session;
    if (!files->data || !files->out)
        return cli_error(session, CLI_USAGE, "--data and --out are needed");
    if (files->log && !cli_has_suffix(files->log, ".csv") && !cli_has_suffix(files->log, ".jsonl"))
        return cli_error(session, CLI_USAGE, "--log: '%s' ends neither in .csv nor in .jsonl",
                         files->log);
    if (!files->certify && cli_given(&self->groups[TRAIN_FILES], "arithmetic"))
        return cli_error(session, CLI_USAGE, "--arithmetic is of no use with --no-certify");
    return check_resume(self);
}

static int open_data(training *self)
{
    const char *spec = self->files.data;
    int result = cli_open_dataset(&self->session, spec, IRN_TRAIN, &self->train);
    if (result != CLI_DONE)
        return result;
    bool labels = self->files.task != IRN_DENSITY;
    if (labels && irn_dataset_get_info(self->train).classes == 0)
        return cli_error(&self->session, CLI_FAILED,
                         "%s: has no labels, which classifiers learn; --task density needs none",
                         spec);
    bool split = strncmp(spec, "idx:", 4) != 0 && strncmp(spec, "npy:", 4) != 0;
    if (self->files.test_data)
        spec = self->files.test_data;
    else if (!split)
        return CLI_DONE;
    result = cli_open_dataset(&self->session, spec, IRN_TEST, &self->test);
    if (result == CLI_DONE && labels && irn_dataset_get_info(self->test).classes == 0)
        result = cli_error(&self->session, CLI_FAILED, "%s: has no labels to test with", spec);
    return result;
}

/* What only densities need: a look at how they do takes them of samples, as evaluation does. */
enum { DENSITY_PARTS = IRN_CHECK_DENSITIES | IRN_CHECK_INVERSES };

/* What the device is checked for, but for those. */
static unsigned usual_parts(const training *self)
{
    return IRN_CHECK_NETWORKS | IRN_CHECK_TRAINING |
           (self->files.certify ? IRN_CHECK_CERTIFICATES : 0u);
}

/* A new model and trainer, by preset and options. */
static int begin_anew(training *self)
{
    cli_session *session = &self->session;
    const char *preset = train_preset(&self->files);
    irn_task task = (irn_task)self->files.task;
    irn_dataset_info info = irn_dataset_get_info(self->train);
    irn_model_config config;
    irn_train_options options;
    session->model_path = "the model";
    session->parts = usual_parts(self) | (task != IRN_CLASSIFY ? DENSITY_PARTS : 0u);
    int result =
        train_model_config(session, &self->groups[TRAIN_MODEL], preset, task, &info, &config);
    if (result == CLI_DONE)
        result =
            train_schedule_options(session, &self->groups[TRAIN_SCHEDULE], preset, task, &options);
    if (result == CLI_DONE)
        result = cli_session_context(session);
    if (result != CLI_DONE)
        return result;
    if (cli_given(&self->groups[TRAIN_COMMON], "seed"))
        options.seed = session->common.seed;
    irn_status status = irn_model_create(&session->model, session->context, &config);
    if (status == IRN_OK)
        status = irn_trainer_create(&self->trainer, session->model, &options);
    return status == IRN_OK ? CLI_DONE : cli_fail_option(session, status);
}

static int resume(training *self)
{
    cli_session *session = &self->session;
    session->parts = usual_parts(self);
    int result = cli_session_context(session);
    if (result != CLI_DONE)
        return result;
    session->model_path = self->files.resume;
    irn_status status =
        irn_trainer_load(&self->trainer, &session->model, session->context, self->files.resume);
    if (status == IRN_OK && irn_trainer_get_options(self->trainer)->task != IRN_CLASSIFY)
        status = cli_session_check(session, DENSITY_PARTS);
    if (status != IRN_OK)
        return cli_fail(session, status);
    self->files.task = (int)irn_trainer_get_options(self->trainer)->task;
    if (cli_given(&self->groups[TRAIN_SCHEDULE], "epochs")) {
        const train_schedule *given = self->groups[TRAIN_SCHEDULE].values;
        irn_trainer_set_epochs(self->trainer, given->options.epochs);
    }
    return CLI_DONE;
}

static int check_data(training *self)
{
    const char *test = self->files.test_data ? self->files.test_data : self->files.data;
    int result = cli_check_dataset(&self->session, self->files.data, self->train);
    if (result == CLI_DONE && self->test)
        result = cli_check_dataset(&self->session, test, self->test);
    return result;
}

/* Makes the folder and the log: the first traces of the run on the disk. */
static int open_outputs(training *self)
{
    cli_session *session = &self->session;
    struct stat known;
    self->made_folder = mkdir(self->files.out, 0777) == 0;
    if (!self->made_folder && errno != EEXIST)
        return cli_error(session, CLI_FAILED, "%s: %s", self->files.out, strerror(errno));
    if (stat(self->files.out, &known) != 0 || !S_ISDIR(known.st_mode))
        return cli_error(session, CLI_FAILED, "%s: is no directory", self->files.out);
    return train_log_open(session, &self->log, self->log_path, self->files.force);
}

static void close_all(training *self)
{
    train_log_close(&self->log);
    irn_trainer_free(self->trainer);
    cli_session_close(&self->session);
    irn_dataset_free(self->train);
    irn_dataset_free(self->test);
    if (self->made_folder)
        rmdir(self->files.out); /* if nothing came to be in it */
    free(self->model_path);
    free(self->checkpoint_path);
    free(self->log_path);
}

static int train(training *self)
{
    int result = make_paths(self);
    if (result == CLI_DONE)
        result = refuse_existing(self);
    if (result == CLI_DONE && self->files.resume) /* the task says what data are needed */
        result = resume(self);
    if (result == CLI_DONE)
        result = open_data(self);
    if (result == CLI_DONE && !self->files.resume)
        result = begin_anew(self);
    if (result == CLI_DONE)
        result = check_data(self);
    if (result == CLI_DONE)
        result = open_outputs(self);
    return result == CLI_DONE ? train_run(self) : result;
}

static int run(const cli_command *self, int argc, char **argv)
{
    training state = {.session = {.command = self}, .files = {.certify = true}};
    train_model model = {.blocks = 0};
    train_schedule schedule = {.shift = 0};
    train_groups(state.groups, &state.files, &model, &schedule);
    state.groups[TRAIN_COMMON] = cli_common_group(
        &state.session.common, CLI_WITH_DEVICE | CLI_WITH_SEED | CLI_WITH_JSON | CLI_WITH_QUIET);
    cli_operands operands = {.most = 0};
    int result = CLI_DONE;
    if (!cli_parse(self, state.groups, TRAIN_GROUPS, argc, argv, &operands, &result))
        return result;
    result = check_usage(&state);
    if (result != CLI_DONE)
        return result;
    cli_progress_init(&state.session.progress, state.session.common.quiet);
    result = train(&state);
    close_all(&state);
    return result;
}

const cli_command cli_command_train = {
    .name = "train",
    .summary = "train a classifier or a density on a data set",
    .synopsis = "--data SPEC --out DIR [options]",
    .about = "Trains an invertible residual network and writes DIR/model.safetensors, with proven\n"
             "bounds in it, and after each epoch DIR/checkpoint.safetensors and a line of\n"
             "DIR/log.jsonl. Ctrl-C keeps a checkpoint and ends with status 130; --resume goes on\n"
             "from there as if nothing had happened.\n",
    .examples = "  iresnet train --data digits --out run\n"
                "  iresnet train --data mnist:data/mnist --out run --epochs 5\n"
                "  iresnet train --data digits --out run --resume run/checkpoint.safetensors\n"
                "  iresnet train --data cifar10:data --out run --blocks 3,3,3 \\\n"
                "                --channels 32,64,128 --strides 1,2,2 --optimizer adam --lr 1e-3\n",
    .run = run,
};
