# Ends the PostgreSQL server of folder $1 when nobody uses it, looking every $2 seconds; then ends itself.
#
# The lock files are those of karat's module `postgres`. Standard input is the lock that says that a watchdog is there.
# What is decided here is decided under the boot lock, and the end of this process gives up standard input first: so who
# joins the server afterwards finds the server down and no watchdog.
cd "$1" || exit
exec 7<>server.lock 8<>boot.lock 9<>users.lock || exit
while :; do
    sleep "$2" || exit
    if flock -n 8; then
        if flock -n 9; then
            break
        fi
        flock -u 8
    fi
done
# The server holds its lock for as long as it lives.
if ! flock -n 7; then
    kill -INT "$(head -n 1 data/postmaster.pid)"
    tries=0
    until flock -n 7 || [ "$tries" -ge 600 ]; do
        tries=$((tries + 1))
        sleep 0.1
    done
fi
