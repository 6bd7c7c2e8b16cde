/* SPDX-License-Identifier: ISC */
/*
 * SIGHUP and `mailctl reload`: the new config is read and its listeners are bound before anything
 * of the old one is given up, so that a mistake costs one log line and no service.
 */
#include "maild/maild.h"

#include <stdio.h>
#include <string.h>

#include "common/base/log.h"

/* These are fixed while the suite runs. */
static const char *const fixed_settings[] = {
	"data-directory", "control-socket", "user-id-base", "workers"};

static bool
is_fixed(const char *name)
{
	for (size_t i = 0; i < sizeof fixed_settings / sizeof fixed_settings[0]; i++) {
		if (strcmp(fixed_settings[i], name) == 0)
			return true;
	}
	return false;
}

/* Gives a fixed setting of the new config its old value. */
static enum fault
keep_fixed(const struct config *old, struct config *new, unsigned row)
{
	struct slice name = slice_text(setting_row(row)->name);
	struct buffer before, after;
	enum fault fault = FAULT_OK;

	buffer_init(&before, PATH_MAX);
	buffer_init(&after, PATH_MAX);
	settings_format(&old->settings, row, &before);
	settings_format(&new->settings, row, &after);
	if (!slice_equal(buffer_slice(&before), buffer_slice(&after))) {
		log_warning("%s: the change takes effect when maild is started again",
			setting_row(row)->name);
		fault = settings_set(&new->settings, name, buffer_slice(&before));
	}
	buffer_clear(&before);
	buffer_clear(&after);
	return fault;
}

static enum fault
keep_all_fixed(const struct config *old, struct config *new)
{
	for (unsigned i = 0; i < setting_count(); i++) {
		if (is_fixed(setting_row(i)->name) && keep_fixed(old, new, i) != FAULT_OK)
			return FAULT_CONFIG;
	}
	return FAULT_OK;
}

static void
send_to_all(struct maild *m)
{
	for (size_t i = 0; i < m->child_count; i++) {
		struct child *child = &m->children[i];

		if (child->link != NULL && wiring_configure(child) == FAULT_OK)
			child_send_configured(child);
	}
}

enum fault
maild_reload(struct maild *m, char error[static CONFIG_ERROR_MAX])
{
	struct config new;
	enum log_level level;
	enum fault fault;

	if (m->state != MAILD_RUNNING) {
		snprintf(error, CONFIG_ERROR_MAX, "not while starting or stopping");
		return FAULT_BUSY;
	}
	fault = config_load(&new, m->config_path);
	if (fault != FAULT_OK) {
		memcpy(error, new.error, CONFIG_ERROR_MAX);
		return fault;
	}
	fault = keep_all_fixed(&m->config, &new);
	if (fault == FAULT_OK)
		fault = listeners_open(m, &new);
	if (fault != FAULT_OK) {
		snprintf(error, CONFIG_ERROR_MAX, "a listener cannot be opened; the log says why");
		config_clear(&new);
		return fault;
	}
	listeners_close_unlisted(m, &new);
	config_clear(&m->config);
	m->config = new;
	if (log_level_parse(m->config.settings.log_level, &level))
		log_set_level(level);
	send_to_all(m);
	log_info("the config was read again");
	return FAULT_OK;
}
