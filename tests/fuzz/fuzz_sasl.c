/* SPDX-License-Identifier: ISC */
/*
 * SASL exchanges: the first byte chooses the mechanism, whether there is an initial response and
 * how authd answers, the rest are the client's lines.  By another of its bits the lines are
 * encoded here, so that the fuzzer need not learn base64.
 */
#include <stdint.h>
#include <stdlib.h>

#include "common/base/cursor.h"
#include "common/mail/base64.h"
#include "common/mail/sasl.h"
#include "common/mail/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INITIAL = 4, ENCODE = 8, REFUSE = 16, LINES_MAX = 8 };

static void
check(bool rule)
{
	if (!rule)
		abort();
}

/* What everybody who asks authd relies on. */
static void
check_question(const struct sasl *s, enum sasl_step step)
{
	struct slice user = sasl_user(s);

	check(user.len > 0 && user.len <= SASL_NAME_MAX && utf8_is_valid(user));
	check(slice_find_byte(user, '\0') == user.len);
	check(s->authzid_len == 0 || slice_equal_nocase(sasl_authzid(s), user));
	if (step == SASL_CHECK_PASSWORD)
		check(s->password.len > 0 && s->mechanism != SASL_SCRAM_SHA_256);
	else
		check(s->mechanism == SASL_SCRAM_SHA_256 && sasl_message(s).len > 0);
}

static enum sasl_step
answer(struct sasl *s, uint8_t choice)
{
	struct sasl_scram_answer scram = {
		.fault = (choice & REFUSE) != 0 ? FAULT_AUTH_FAILED : FAULT_OK,
		.message = sasl_is_final(s) ? SLICE("v=c2ln") : SLICE("r=abcdef,s=AAAA,i=4096"),
		.is_final = sasl_is_final(s),
	};

	return sasl_answer_scram(s, &scram);
}

static struct slice
next_line(struct cursor *c, uint8_t choice, struct buffer *room)
{
	struct slice line;

	if (!take_until(c, '\n', &line))
		line = take_rest(c);
	take_byte(c, '\n');
	if ((choice & ENCODE) == 0)
		return line;
	buffer_reset(room);
	base64_encode(line, room);
	return buffer_slice(room);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sasl s = {0};
	struct buffer room;

	if (size < 1)
		return 0;
	uint8_t choice = data[0];
	struct cursor c = cursor_of(slice_make(data + 1, size - 1));
	buffer_init(&room, 4 * size + 4);
	struct slice initial = SLICE("");
	if ((choice & INITIAL) != 0)
		initial = next_line(&c, choice, &room);
	enum sasl_step step =
		sasl_start(&s, (enum sasl_mechanism)(choice % 4 % SASL_MECHANISM_COUNT),
			(choice & INITIAL) != 0 ? &initial : NULL);
	for (int i = 0; i < LINES_MAX; i++) {
		if (step == SASL_CHALLENGE) {
			step = sasl_line(&s, next_line(&c, choice, &room));
		} else if (step == SASL_ASK_SCRAM) {
			check_question(&s, step);
			step = answer(&s, choice);
		} else {
			break;
		}
	}
	if (step == SASL_CHECK_PASSWORD)
		check_question(&s, step);
	if (step == SASL_DONE)
		check(s.verified);
	sasl_clear(&s);
	sasl_clear(&s);
	buffer_clear(&room);
	return 0;
}
