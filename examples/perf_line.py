"""Ask what is wrong with the packet of one line of a log."""

from __future__ import annotations

import gso

LINE = (
    b"nginx 811 [000] 79.092635: gso:__dev_queue_xmit: (ffffffffb94715b4) skb=0xff1230a71e7310e8 "
    b"inner_mac_header=32 inner_network_header=46 inner_transport_header=66 mac_header=0 "
    b"network_header=14 transport_header=34 len=4000 encapsulation=1 gso_size=1448 gso_type=0x801\n"
)


def main() -> None:
    """Print what the rules say of it; the line may come from anywhere."""
    trace = gso.read_trace(LINE)
    for finding in gso.validate(trace.state[0]):
        print(f"{finding.rule}: {finding.message}")


if __name__ == "__main__":
    main()
