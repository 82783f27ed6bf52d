"""Where the served block list lives: `block_list` is the port, Redis and memory keep it."""
