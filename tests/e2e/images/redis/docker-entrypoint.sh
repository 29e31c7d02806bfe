#!/bin/sh
# As the official image has it: options or a configuration file alone mean redis-server, root hands
# over to the user redis, and the server listens to other containers without further ado.
set -e
case "$1" in
    -* | *.conf) set -- redis-server "$@" ;;
esac
[ "$1" = redis-server ] || exec "$@"
if [ "$(id -u)" = 0 ]; then
    chown redis:redis /data
    exec setpriv --reuid redis --regid redis --clear-groups "$0" "$@"
fi
exec "$@" --protected-mode no
