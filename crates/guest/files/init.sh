#!/bin/busybox sh
# The first process of the default guest. What it does is chosen on the kernel command line:
#   futago.ip=ADDRESS/BITS[,GATEWAY]   eth0 by hand: at once, and the same on every boot
#   futago.ip=dhcp                     eth0 by DHCP
#   futago.redis=1                     redis-server on port 6379
# When all of that works it prints "futago: guest ready", then answers on the console.
export PATH=/bin HOME=/root TERM=vt100

# This process is the only one that must not end: should it fail, the kernel's panic restarts the
# machine instead of leaving it hanging.
busybox mount -t proc proc /proc
echo 1 > /proc/sys/kernel/panic
busybox mount -t sysfs sys /sys
busybox mount -t devtmpfs dev /dev
busybox --install -s /bin

while read -r module; do
    insmod "/modules/$module" || echo "futago: cannot load module $module"
done < /modules/order

for word in $(cat /proc/cmdline); do
    case $word in
        futago.ip=*) ip=${word#futago.ip=} ;;
        futago.redis=*) redis=${word#futago.redis=} ;;
    esac
done

failed() {
    echo "futago: guest failed: $1"
}

network() {
    # IPv6 would make the guest speak of its own accord (address checks, router solicitations).
    echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6
    ip link set lo up
    [ -n "$ip" ] || return 0
    ip link set eth0 up || return 1
    if [ "$ip" = dhcp ]; then
        udhcpc -q -n -f -i eth0 -s /etc/udhcpc.sh > /dev/null
        return
    fi
    address=${ip%%,*}
    ip addr add "$address" dev eth0 || return 1
    if [ "$address" = "$ip" ]; then
        arping -q -U -c 1 -I eth0 "${address%/*}" &
        return 0
    fi
    gateway=${ip#*,}
    ip route add default via "$gateway" || return 1
    # The network has not heard of this machine yet, and passt refuses connections to machines that it
    # has not heard. Asking for the gateway's address makes the guest known.
    arping -q -f -c 3 -I eth0 "$gateway" || echo "futago: the gateway $gateway does not answer"
}

# Redis says when it serves; asking it again and again would take the time that it needs to start.
redis() {
    [ "$redis" = 1 ] || return 0
    echo 1 > /proc/sys/vm/overcommit_memory
    mkfifo /run/redis
    redis-server /etc/redis/redis.conf > /run/redis 2>&1 &
    exec 3< /run/redis
    ready=
    while [ -z "$ready" ] && read -r line <&3; do
        echo "$line" >> /tmp/redis.log
        case $line in
            *'Ready to accept connections'*) ready=1 ;;
        esac
    done
    cat <&3 >> /tmp/redis.log &
    exec 3<&-
    if [ -z "$ready" ] || ! echo PING | nc 127.0.0.1 6379 | grep -q PONG; then
        cat /tmp/redis.log
        return 1
    fi
}

if ! network; then
    failed "eth0 cannot be set up as futago.ip=$ip asks"
elif ! redis; then
    failed "redis-server does not answer"
else
    read -r uptime _ < /proc/uptime
    echo "futago: guest ready after $uptime s"
fi

# What busybox sends to the first process where -f is not given. A trap waits for a child in the
# foreground to end, but not for one that is waited for.
trap 'sync; poweroff -f' USR1 USR2
trap 'sync; reboot -f' TERM
read -r console _ < /sys/class/tty/console/active
while :; do
    setsid -c sh < "/dev/$console" > "/dev/$console" 2>&1 &
    wait $!
done
