/* SPDX-License-Identifier: ISC */
/*
 * Starting and stopping the whole suite in the order of the table.  Starting: all are forked and
 * wired, then each stage may open its files once the one before is ready, so that a reader finds
 * a store and nobody is greeted before mail can be kept.  A process that ends before it was ever
 * ready ends the start: the config is wrong, and a restart would not make it right.
 */
#include "maild/maild.h"

#include <signal.h>

#include "common/base/log.h"

static void
configure_stage(struct maild *m)
{
	for (size_t i = 0; i < m->child_count; i++) {
		if (m->children[i].row->stop_stage == m->stage)
			child_send_configured(&m->children[i]);
	}
}

enum fault
stages_start(struct maild *m)
{
	m->state = MAILD_STARTING;
	for (size_t i = 0; i < m->child_count; i++) {
		enum fault fault = child_start(&m->children[i]);

		if (fault != FAULT_OK)
			return fault;
	}
	m->stage = STOP_STAGES - 1;
	configure_stage(m);
	return FAULT_OK;
}

static bool
stage_is(const struct maild *m, enum child_state state)
{
	for (size_t i = 0; i < m->child_count; i++) {
		if (m->children[i].row->stop_stage == m->stage && m->children[i].state != state)
			return false;
	}
	return true;
}

void
stages_child_ready(struct child *child)
{
	struct maild *m = child->maild;

	if (m->state == MAILD_RUNNING && child->restarts > 0)
		log_info("%s[%d] runs again", process_name(child->row->process), (int)child->pid);
	if (m->state != MAILD_STARTING || !stage_is(m, CHILD_RUNNING))
		return;
	if (m->stage > 0) {
		m->stage--;
		configure_stage(m);
		return;
	}
	m->state = MAILD_RUNNING;
	log_info("all processes are running");
	notify_systemd("READY=1\n");
}

static void
stop_stage(struct maild *m)
{
	for (size_t i = 0; i < m->child_count; i++) {
		if (m->children[i].row->stop_stage == m->stage)
			child_stop(&m->children[i]);
	}
}

/* Goes on to the first stage that has somebody to wait for, or to the end. */
static void
advance_stop(struct maild *m)
{
	while (stage_is(m, CHILD_DOWN)) {
		if (++m->stage == STOP_STAGES) {
			event_base_loopbreak(m->base);
			return;
		}
		stop_stage(m);
	}
}

void
stages_stop(struct maild *m, int exit_status)
{
	if (m->state == MAILD_STOPPING)
		return;
	m->state = MAILD_STOPPING;
	m->exit_status = exit_status;
	notify_systemd("STOPPING=1\n");
	m->stage = 0;
	stop_stage(m);
	advance_stop(m);
}

void
stages_child_gone(struct child *child)
{
	struct maild *m = child->maild;

	if (m->state == MAILD_STARTING) {
		log_error("%s could not start", process_name(child->row->process));
		stages_stop(m, 1);
	} else {
		advance_stop(m);
	}
}
