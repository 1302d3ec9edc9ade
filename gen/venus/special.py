# SPDX-License-Identifier: Apache-2.0
"""What the rules applied to the registry do not give.  Each entry says why."""

# What commands.csv marks as sent is decoded, and these on top.  Nothing else: each command is a way in.
ALSO_DECODED = {
    'vkSeekReplyCommandStreamMESA': 'part of the protocol, costs nothing; another guest driver may use it',
    'vkWriteRingExtraMESA': 'part of the protocol, costs nothing; another guest driver may use it',
}

# Partial structs carry only nested structs and handles, but in these the count and the array's
# presence travel as well,
# since the guest asks twice through them.
PARTIAL_WITH_ARRAY = {
    'VkDrmFormatModifierPropertiesListEXT': 'two-call idiom inside a struct',
    'VkDrmFormatModifierPropertiesList2EXT': 'two-call idiom inside a struct',
}

# Length expressions of the registry that are not just a member: (member, add, divide).
LENGTHS = {
    'codeSize / 4': ('codeSize', 0, 4),
    '(rasterizationSamples + 31) / 32': ('rasterizationSamples', 31, 32),
    '(samples + 31) / 32': ('samples', 31, 32),
}

# What a command does to the object table beyond "its non-const handle parameters are created":
# the registry has no word for it.
DESTROYS = {  # command: the parameter whose object(s) go
    'vkDestroyInstance': 'instance',
    'vkDestroyDevice': 'device',
    'vkFreeMemory': 'memory',
    'vkDestroyFence': 'fence',
    'vkDestroySemaphore': 'semaphore',
    'vkDestroyEvent': 'event',
    'vkDestroyQueryPool': 'queryPool',
    'vkDestroyBuffer': 'buffer',
    'vkDestroyBufferView': 'bufferView',
    'vkDestroyImage': 'image',
    'vkDestroyImageView': 'imageView',
    'vkDestroyShaderModule': 'shaderModule',
    'vkDestroyPipelineCache': 'pipelineCache',
    'vkDestroyPipeline': 'pipeline',
    'vkDestroyPipelineLayout': 'pipelineLayout',
    'vkDestroySampler': 'sampler',
    'vkDestroyDescriptorSetLayout': 'descriptorSetLayout',
    'vkDestroyDescriptorPool': 'descriptorPool',
    'vkDestroyFramebuffer': 'framebuffer',
    'vkDestroyRenderPass': 'renderPass',
    'vkDestroyCommandPool': 'commandPool',
    'vkDestroySamplerYcbcrConversion': 'ycbcrConversion',
    'vkFreeCommandBuffers': 'pCommandBuffers',
    'vkFreeDescriptorSets': 'pDescriptorSets',
}
# All that came from this pool goes, the pool stays.
RESETS_POOL = {'vkResetDescriptorPool': 'descriptorPool'}
# Children of a pool: (struct parameter, member) that names it.
ALLOCATES_FROM = {
    'vkAllocateCommandBuffers': ('pAllocateInfo', 'VkCommandBufferAllocateInfo', 'commandPool'),
    'vkAllocateDescriptorSets': ('pAllocateInfo', 'VkDescriptorSetAllocateInfo', 'descriptorPool'),
}


def is_hot(command):
    """Called thousands of times a frame: its list is turned into code."""
    return command.startswith('vkCmd') or command == 'vkUpdateDescriptorSets'


# Extensions of the protocol itself: no registry has them.
OWN_EXTENSIONS = ('VK_EXT_command_serialization', 'VK_MESA_venus_protocol')

# Version of the registry that the guest's encoder was made from; there is no use in claiming more.
XML_VERSION_MAX = (1, 3, 269)
