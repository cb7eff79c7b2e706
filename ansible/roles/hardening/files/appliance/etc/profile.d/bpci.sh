# CIS 5.5.4, 5.5.5: others read nothing by default, and a shell that was left alone ends after 10 minutes.
umask 027
if [ -n "${BASH_VERSION:-}" ]; then
  declare -xr TMOUT=600 2>/dev/null
fi
# CIS 1.5.4
ulimit -c 0
