"""A fleet of real sshd hosts on one machine, for the demo and the tests."""
