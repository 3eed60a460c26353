//! Takes a machine's cable out of service in the switch, in one call to the kernel: the machine cannot notice, and the
//! moment is known to some microseconds (a packet filter takes a process and milliseconds to write).

use super::net::port;
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};

const RTM_SETLINK: u16 = 19;
const NLMSG_ERROR: u16 = 2;
const REQUEST_ACK: u16 = 5;
const AF_BRIDGE: u8 = 7;
const IFLA_PROTINFO: u16 = 12 | 0x8000;
const IFLA_BRPORT_STATE: u16 = 1;

/// States of a port of a bridge.
const DISABLED: u8 = 0;
const FORWARDING: u8 = 3;

/// A way to the kernel's switches.
pub(crate) struct Plug {
    socket: Socket,
}

impl Plug {
    /// # Panics
    /// When the kernel has no such way.
    pub(crate) fn new() -> Self {
        let mut socket = Socket::new(NETLINK_ROUTE).expect("a netlink socket");
        socket.bind_auto().expect("a netlink address");
        socket.connect(&SocketAddr::new(0, 0)).expect("the kernel");
        Self { socket }
    }

    /// Lets the port of a machine's `eth0` pass nothing, or everything.
    ///
    /// # Panics
    /// When the kernel refuses.
    pub(crate) fn silent(&self, machine: usize, silent: bool) {
        let port = port(machine, "eth0");
        let index = nix::net::if_::if_nametoindex(port.as_str()).expect("the port is there");
        self.socket.send(&message(index, if silent { DISABLED } else { FORWARDING }), 0).expect("the kernel listens");
        let mut answer = Vec::with_capacity(4096);
        self.socket.recv(&mut answer, 0).expect("the kernel answers");
        let kind = u16::from_ne_bytes([answer[4], answer[5]]);
        let error = i32::from_ne_bytes([answer[16], answer[17], answer[18], answer[19]]);
        assert_eq!((kind, error), (NLMSG_ERROR, 0), "the switch takes {port} out or in");
    }
}

/// Header, link, and the state of the port inside the attribute of its protocol.
fn message(index: u32, state: u8) -> Vec<u8> {
    let mut attributes = Vec::new();
    attributes.extend_from_slice(&12_u16.to_ne_bytes());
    attributes.extend_from_slice(&IFLA_PROTINFO.to_ne_bytes());
    attributes.extend_from_slice(&5_u16.to_ne_bytes());
    attributes.extend_from_slice(&IFLA_BRPORT_STATE.to_ne_bytes());
    attributes.extend_from_slice(&[state, 0, 0, 0]);
    let mut bytes = Vec::new();
    bytes.extend_from_slice(&(16 + 16 + 12_u32).to_ne_bytes());
    bytes.extend_from_slice(&RTM_SETLINK.to_ne_bytes());
    bytes.extend_from_slice(&REQUEST_ACK.to_ne_bytes());
    bytes.extend_from_slice(&[0; 8]);
    bytes.extend_from_slice(&[AF_BRIDGE, 0, 0, 0]);
    bytes.extend_from_slice(&index.to_ne_bytes());
    bytes.extend_from_slice(&[0; 8]);
    bytes.extend_from_slice(&attributes);
    bytes
}
