/* SPDX-License-Identifier: Apache-2.0 */
/* unit.h - cmocka with the headers it forgets to include */
#ifndef ORIEL_TESTS_UNIT_H
#define ORIEL_TESTS_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#endif
