# CIS 5.5.4: whoever installs a C shell gets the same umask in it.
umask 027
