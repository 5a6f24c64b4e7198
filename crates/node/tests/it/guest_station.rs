//! A guest's network stack in miniature, on a switch's port: it answers ARP, and echoes over TCP what it is sent.

use node::config::MacAddress;
use node::switch::{announcement, is_reserved};
use std::io::{Read, Write};
use std::net::Ipv4Addr;
use std::os::unix::net::UnixStream;
use std::path::Path;

const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 15);
pub(crate) const MAC: [u8; 6] = [0x52, 0x54, 0, 0x12, 0x34, 0x56];
const FIRST_SEQUENCE: u32 = 1000;
const FIN: u8 = 1;
const SYN: u8 = 2;
const PSH: u8 = 8;
const ACK: u8 = 16;

/// Serves until the switch is gone.
pub(crate) fn echo(socket: &Path) {
    let mut stream = UnixStream::connect(socket).unwrap();
    // passt forwards a connection to whom it has heard.
    send(&mut stream, &announcement(MacAddress(MAC)));
    let mut sequence = FIRST_SEQUENCE;
    while let Some(frame) = receive(&mut stream) {
        match frame[12..14] {
            [0x08, 0x06] => answer_arp(&mut stream, &frame),
            [0x08, 0x00] if frame[14 + 9] == 6 => answer_tcp(&mut stream, &frame, &mut sequence),
            _ => {}
        }
    }
}

pub(crate) fn send(stream: &mut UnixStream, frame: &[u8]) {
    let _ = stream.write_all(&(frame.len() as u32).to_be_bytes());
    let _ = stream.write_all(frame);
}

/// The next frame; what the switch itself says is left out.
pub(crate) fn receive(stream: &mut UnixStream) -> Option<Vec<u8>> {
    loop {
        let mut length = [0u8; 4];
        stream.read_exact(&mut length).ok()?;
        let mut frame = vec![0u8; u32::from_be_bytes(length) as usize];
        stream.read_exact(&mut frame).ok()?;
        if !is_reserved(&frame) {
            return Some(frame);
        }
    }
}

fn answer_arp(stream: &mut UnixStream, frame: &[u8]) {
    let is_request_for_us = frame[20..22] == [0, 1] && frame[38..42] == ADDRESS.octets();
    if !is_request_for_us {
        return;
    }
    let mut reply = frame[..42].to_vec();
    reply[..6].copy_from_slice(&frame[6..12]);
    reply[6..12].copy_from_slice(&MAC);
    reply[21] = 2;
    reply[22..28].copy_from_slice(&MAC);
    reply[28..32].copy_from_slice(&ADDRESS.octets());
    reply[32..42].copy_from_slice(&frame[22..32]);
    send(stream, &reply);
}

fn answer_tcp(stream: &mut UnixStream, frame: &[u8], sequence: &mut u32) {
    let ip = &frame[14..];
    let ip_header = usize::from(ip[0] & 15) * 4;
    let total = usize::from(u16::from_be_bytes([ip[2], ip[3]]));
    let tcp = &ip[ip_header..total];
    let data = &tcp[usize::from(tcp[12] >> 4) * 4..];
    let flags = tcp[13];
    let theirs = u32::from_be_bytes(tcp[4..8].try_into().unwrap());
    let mut reply_with = |flags: u8, acknowledge: u32, data: &[u8]| {
        let segment = segment(frame, *sequence, acknowledge, flags, data);
        send(stream, &segment);
        let counted = u32::from(flags & (SYN | FIN) != 0);
        *sequence = sequence.wrapping_add(data.len() as u32 + counted);
    };
    if flags & SYN != 0 {
        reply_with(SYN | ACK, theirs.wrapping_add(1), &[]);
    } else if !data.is_empty() {
        reply_with(PSH | ACK, theirs.wrapping_add(data.len() as u32), data);
    } else if flags & FIN != 0 {
        reply_with(FIN | ACK, theirs.wrapping_add(1), &[]);
    }
}

/// A TCP segment in answer to `frame`.
fn segment(frame: &[u8], sequence: u32, acknowledge: u32, flags: u8, data: &[u8]) -> Vec<u8> {
    let ip = &frame[14..];
    let ip_header = usize::from(ip[0] & 15) * 4;
    let (source, destination) = (&ip[12..16], &ip[16..20]);
    let ports = &ip[ip_header..ip_header + 4];
    let mut tcp = Vec::new();
    tcp.extend_from_slice(&ports[2..]);
    tcp.extend_from_slice(&ports[..2]);
    tcp.extend_from_slice(&sequence.to_be_bytes());
    tcp.extend_from_slice(&acknowledge.to_be_bytes());
    tcp.extend_from_slice(&[5 << 4, flags, 0xff, 0xff, 0, 0, 0, 0]);
    tcp.extend_from_slice(data);
    let mut pseudo = Vec::new();
    pseudo.extend_from_slice(destination);
    pseudo.extend_from_slice(source);
    pseudo.extend_from_slice(&[0, 6]);
    pseudo.extend_from_slice(&(tcp.len() as u16).to_be_bytes());
    pseudo.extend_from_slice(&tcp);
    let sum = checksum(&pseudo);
    tcp[16..18].copy_from_slice(&sum.to_be_bytes());
    let mut reply = Vec::new();
    reply.extend_from_slice(&frame[6..12]);
    reply.extend_from_slice(&MAC);
    reply.extend_from_slice(&[8, 0]);
    let mut header = vec![0x45, 0];
    header.extend_from_slice(&(20 + tcp.len() as u16).to_be_bytes());
    header.extend_from_slice(&[0, 0, 0x40, 0, 64, 6, 0, 0]);
    header.extend_from_slice(destination);
    header.extend_from_slice(source);
    let sum = checksum(&header);
    header[10..12].copy_from_slice(&sum.to_be_bytes());
    reply.extend_from_slice(&header);
    reply.extend_from_slice(&tcp);
    reply
}

/// RFC 1071.
fn checksum(bytes: &[u8]) -> u16 {
    let mut sum: u32 = bytes
        .chunks(2)
        .map(|pair| u32::from(u16::from_be_bytes([pair[0], *pair.get(1).unwrap_or(&0)])))
        .sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}
