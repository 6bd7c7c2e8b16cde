/* SPDX-License-Identifier: ISC */
/* The text of the config file, ready for libConfuse. */
#ifndef MAILD_CONFIG_TEXT_H
#define MAILD_CONFIG_TEXT_H

#include <stddef.h>

enum { CONFIG_TEXT_MAX = 4 * 1024 * 1024 };

/*
 * Replaces comments (#, double slash, slash-star) outside of quotes by spaces, in place: libConfuse
 * 3.3 counts a comment as three lines, and our errors name lines.
 */
void config_text_blank_comments(char *text, size_t len);
/* Reads a file of at most CONFIG_TEXT_MAX bytes and blanks its comments.  Free it; NULL: errno. */
char *config_text_load(const char *path, size_t *len);

#endif
