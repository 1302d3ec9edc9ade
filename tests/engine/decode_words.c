/* SPDX-License-Identifier: Apache-2.0 */
/* decode_words.c - for each 32-bit word on standard input (binary), print the row it decodes to and its feature */
#include "a64/a64.h"

#include <stdio.h>

int main(void)
{
	uint32_t word;
	while (fread(&word, sizeof(word), 1, stdin) == 1) {
		const struct a64_info *info = &a64_infos[a64_decode(word)];
		printf("%s %s\n", info->name, a64_feature_infos[info->feature].name);
	}
	return 0;
}
