"""Drivers of the state machine; the embedded sequencer is one."""
