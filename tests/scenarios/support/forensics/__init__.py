"""Looks for keys that must be gone, in whatever is left of a vault: files, copies of files, memory.

keylist    every key that the vault ever made, noted by the test as it is made
copies     copies of the data directory, and the bytes in them, each different piece once
scanning   all offsets of some bytes: the keys as they are, or sealed under another key
searching  which shredded keys and customers can still be found, with every epoch key that still opens
working    a vault that works: stores, shreds, deletes, corrects, rotates, is killed, is copied
memory     the memory of running processes
"""
