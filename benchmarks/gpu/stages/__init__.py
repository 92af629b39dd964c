"""The stages, one file each: PARTS, measurements that stand by themselves, in the order of their worth."""
