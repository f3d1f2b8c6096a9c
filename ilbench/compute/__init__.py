"""How things run fast and right: devices, lanes, the compile cache, the generator, memory. Above it only types."""
