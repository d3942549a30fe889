"""The only doors to vendors and disks, each behind a port or a plain function. The core imports none of them."""
