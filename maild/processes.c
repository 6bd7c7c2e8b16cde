/* SPDX-License-Identifier: ISC */
/* The table of processes and of their links; what design and pabal-ipc(7) draw. */
#include "maild/processes.h"

/* P(process, user, worker, reads store, stop stage, directory, mode) */
#define ROWS(P)                                                                                    \
	P(AUTHD, "_authd", false, false, 4, "directory", 0700)                                     \
	P(MAILBOXD, "_mailboxd", false, false, 3, "store", 0750)                                   \
	P(DELIVERD, "_deliverd", false, false, 2, NULL, 0)                                         \
	P(RELAYD, "_relayd", false, false, 2, NULL, 0)                                             \
	P(QUEUED, "_queued", false, false, 1, "queue", 0700)                                       \
	P(SMTPD, "_smtpd", true, false, 0, NULL, 0)                                                \
	P(IMAPD, "_imapd", true, true, 0, NULL, 0)                                                 \
	P(POP3D, "_pop3d", false, true, 0, NULL, 0)

const struct process_row process_rows[] = {
#define ROW(process, user, worker, reads, stage, directory, mode)                                  \
	{PROCESS_##process, user, worker, reads, stage, directory, mode},
	ROWS(ROW)
#undef ROW
};
const size_t process_row_count = sizeof process_rows / sizeof process_rows[0];

const struct process_link process_links[] = {
	{PROCESS_SMTPD, PROCESS_AUTHD},
	{PROCESS_IMAPD, PROCESS_AUTHD},
	{PROCESS_POP3D, PROCESS_AUTHD},
	{PROCESS_DELIVERD, PROCESS_AUTHD},
	{PROCESS_SMTPD, PROCESS_QUEUED},
	{PROCESS_QUEUED, PROCESS_DELIVERD},
	{PROCESS_QUEUED, PROCESS_RELAYD},
	{PROCESS_DELIVERD, PROCESS_MAILBOXD},
	{PROCESS_IMAPD, PROCESS_MAILBOXD},
	{PROCESS_POP3D, PROCESS_MAILBOXD},
};
const size_t process_link_count = sizeof process_links / sizeof process_links[0];

bool
process_is_linked(enum process a, enum process b)
{
	for (size_t i = 0; i < process_link_count; i++) {
		const struct process_link *l = &process_links[i];

		if ((l->left == a && l->right == b) || (l->left == b && l->right == a))
			return true;
	}
	return false;
}
