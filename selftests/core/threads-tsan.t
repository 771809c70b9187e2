#!/bin/sh
# SPDX-License-Identifier: MIT
#
# threads-tsan.t: selftests/core/threads.c under ThreadSanitizer.  A race is a
# report on stderr and exit status 66.  Fixed addresses, because the sanitizer's
# shadow does not fit every random layout.
cd "$(dirname "$0")/../.." || exit 1
fixed=
setarch -R true 2> /dev/null && fixed="setarch -R"
TSAN_OPTIONS="halt_on_error=0 exitcode=66 $TSAN_OPTIONS" \
	exec $fixed "${CHECK_BUILD:-build}/selftests/core/threads-tsan" "$@"
