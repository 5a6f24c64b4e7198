#!/bin/sh
# Called by udhcpc with what the DHCP server offered.
[ "$1" = bound ] || [ "$1" = renew ] || exit 0
ip addr flush dev "$interface"
ip addr add "$ip/$mask" dev "$interface"
for gateway in $router; do
    # passt may offer a gateway outside the offered network.
    ip route add "$gateway" dev "$interface" 2> /dev/null
    ip route add default via "$gateway" && break
done
