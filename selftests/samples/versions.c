// SPDX-License-Identifier: MIT
/*
 * versions: the order of Debian versions as depgraph sees it.
 *
 * The table says what deb-version(7) does; each row is checked both ways round,
 * and every version in it against itself.  Built and run by versions.t, against
 * the sample's own relation.c.
 */
#include <stdint.h>
#include <string.h>

#include "../../samples/depgraph/index.h"
#include "../tap.h"

static const struct {
	const char *a;
	char order;
	const char *b;
} rows[] = {
	{ "1.0", '<', "1.1" },
	{ "1.9", '<', "1.10" },
	{ "1.2", '<', "1.2.1" },
	{ "1.0", '=', "1.00" },
	{ "1.0", '=', "1.0-0" },
	{ "1.0-0", '=', "0:1.0" },
	{ "00:1.0", '=', "0:1.0" },
	{ "1.0-1", '<', "1.0-2" },
	{ "1.0-9", '<', "1.0-10" },
	{ "1.0-1", '<', "1.0-1.1" },
	{ "1.0-1", '<', "1.0-1+b1" },
	{ "1.0-1+b1", '<', "1.0-1.1" },
	{ "9.9", '<', "1:0.1" },
	{ "1:9.9", '<', "2:0.1" },
	{ "9:1", '<', "10:1" },
	{ "1.0~rc1", '<', "1.0" },
	{ "1.0~~", '<', "1.0~" },
	{ "1.0~~a", '<', "1.0~" },
	{ "1.0~", '<', "1.0" },
	{ "1.0~rc1", '<', "1.0~rc2" },
	{ "1.0~rc1-1", '<', "1.0-1" },
	{ "1.0-1~bpo1", '<', "1.0-1" },
	{ "1.0", '<', "1.0a" },
	{ "1.0a", '<', "1.0b" },
	{ "1.0Z", '<', "1.0a" },
	{ "1.0a", '<', "1.0+" },
	{ "1.0+", '<', "1.0." },
	{ "1.0z", '<', "1.0+a" },
	{ "1.0", '<', "1.0+dfsg" },
	{ "1.0+dfsg", '<', "1.0+dfsg1" },
	{ "1.0-1-1", '>', "1.0-1" },
	{ "1.2-a-1", '<', "1.2-b-1" },
	{ "0.0.26", '<', "0.0.26-3" },
	{ "2a10", '>', "2a9" },
	{ "20220101", '>', "9999" },
	{ "99999999999999999999999999", '<', "100000000000000000000000000" },
};

static char order_of(const char *a, const char *b)
{
	int order = version_compare(a, b);

	return order < 0 ? '<' : order > 0 ? '>' : '=';
}

static const char *const good[] = { "1", "0", "1:2:3-4", "1.0~rc1+dfsg-0.1~deb12u1", "1.2-a-1" };
static const char *const bad[] = { "", "a", ":1", "1:", "x:1", "1-", "-1", "1 2", "1_2", "1:a" };

static bool valid(const char *version)
{
	struct mistake mistake;

	return !version_check((struct slice){ version, strlen(version) }, &mistake);
}

int main(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char back = rows[i].order == '<' ? '>' : rows[i].order == '>' ? '<' : '=';

		ok(order_of(rows[i].a, rows[i].b) == rows[i].order, "%s %c %s", rows[i].a,
		   rows[i].order, rows[i].b);
		ok(order_of(rows[i].b, rows[i].a) == back, "%s %c %s", rows[i].b, back, rows[i].a);
		ok(order_of(rows[i].a, rows[i].a) == '=' && order_of(rows[i].b, rows[i].b) == '=',
		   "%s and %s equal themselves", rows[i].a, rows[i].b);
	}
	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		ok(valid(good[i]), "\"%s\" is a version", good[i]);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		ok(!valid(bad[i]), "\"%s\" is none", bad[i]);
	return tap_done();
}
