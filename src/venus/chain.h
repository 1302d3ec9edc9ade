/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chain.h - pNext chains in arena memory, searched and shortened in place
 * Threads: values.
 */
#ifndef ORIEL_VENUS_CHAIN_H
#define ORIEL_VENUS_CHAIN_H

#include <stddef.h>
#include <vulkan/vulkan_core.h>

/* The struct of type @type chained behind @head (a struct with sType and pNext), or NULL. */
static inline void *chain_find(const void *head, VkStructureType type)
{
	const VkBaseInStructure *at = ((const VkBaseInStructure *)head)->pNext;
	while (at && at->sType != type) {
		at = at->pNext;
	}
	return (void *)at;
}

/* Takes the struct of type @type out of the chain behind @head.  Returns it, or NULL. */
static inline void *chain_unlink(void *head, VkStructureType type)
{
	VkBaseOutStructure *before = head;
	while (before->pNext && before->pNext->sType != type) {
		before = before->pNext;
	}
	VkBaseOutStructure *found = before->pNext;
	if (found) {
		before->pNext = found->pNext;
		found->pNext = NULL;
	}
	return found;
}

/* Puts @item first in the chain behind @head. */
static inline void chain_push(void *head, void *item)
{
	((VkBaseOutStructure *)item)->pNext = ((VkBaseOutStructure *)head)->pNext;
	((VkBaseOutStructure *)head)->pNext = item;
}

#endif
