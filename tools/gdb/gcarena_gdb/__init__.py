# SPDX-License-Identifier: MIT
"""gdb's view of gcarena heaps"""
