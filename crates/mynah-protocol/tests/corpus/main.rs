//! The seeds of the fuzz targets, judged by the same checks on the stable toolchain.

#[cfg(test)]
#[path = "../../../../fuzz/checks/deflate.rs"]
mod deflate;
#[cfg(test)]
#[path = "../../../../fuzz/checks/engine_io.rs"]
mod engine_io;
#[cfg(test)]
#[path = "../../../../fuzz/checks/engine_io_v3.rs"]
mod engine_io_v3;
#[cfg(test)]
#[path = "../../../../fuzz/checks/msgpack.rs"]
mod msgpack;
#[cfg(test)]
#[path = "../../../../fuzz/checks/pusher_frame.rs"]
mod pusher_frame;
#[cfg(test)]
#[path = "../../../../fuzz/checks/pusher_http.rs"]
mod pusher_http;
#[cfg(test)]
#[path = "../../../../fuzz/checks/pusher_signature.rs"]
mod pusher_signature;
#[cfg(test)]
#[path = "../../../../fuzz/checks/socket_io.rs"]
mod socket_io;
#[cfg(test)]
#[path = "../../../../fuzz/checks/websocket.rs"]
mod websocket;

#[cfg(test)]
mod seeds {
    use std::fs;
    use std::path::Path;

    /// Changed copies of each seed.
    const COPIES: u64 = 300;

    /// Numbers that look random and are the same in each run (xorshift64).
    fn numbers(mut state: u64) -> impl Iterator<Item = u64> {
        std::iter::repeat_with(move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        })
    }

    /// A seed with some octets changed, left out or doubled.
    fn changed(seed: &[u8], copy: u64) -> Vec<u8> {
        let mut bytes = seed.to_vec();
        let mut numbers = numbers(0x9e37_79b9_7f4a_7c15 ^ (copy + 1));
        let mut next = || numbers.next().unwrap();
        for _ in 0..=next() % 4 {
            let at = next() as usize % bytes.len().max(1);
            let value = next();
            match value % 4 {
                _ if bytes.is_empty() => bytes.push(value as u8),
                0 => drop(bytes.remove(at)),
                1 => bytes.insert(at, (value >> 8) as u8),
                2 => bytes[at] ^= 1 << ((value >> 8) % 8),
                _ => bytes[at] = (value >> 8) as u8,
            }
        }
        bytes
    }

    /// Judges every seed, what is left of it when it is cut short, and changed copies of it.
    fn replay(target: &str, check: fn(&[u8])) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds").join(target);
        let mut count = 0;
        for entry in fs::read_dir(folder).unwrap() {
            let seed = fs::read(entry.unwrap().path()).unwrap();
            check(&seed);
            for end in 0..seed.len().min(256) {
                check(&seed[..end]);
            }
            (0..COPIES).for_each(|copy| check(&changed(&seed, copy)));
            count += 1;
        }
        assert!(count >= 5, "{count} seeds of {target}");
    }

    #[test]
    fn deflate() {
        replay("deflate", crate::deflate::check);
    }

    #[test]
    fn engine_io() {
        replay("engine_io", crate::engine_io::check);
    }

    #[test]
    fn engine_io_v3() {
        replay("engine_io_v3", crate::engine_io_v3::check);
    }

    #[test]
    fn msgpack() {
        replay("msgpack", crate::msgpack::check);
    }

    #[test]
    fn pusher_frame() {
        replay("pusher_frame", crate::pusher_frame::check);
    }

    #[test]
    fn pusher_http() {
        replay("pusher_http", crate::pusher_http::check);
    }

    #[test]
    fn pusher_signature() {
        replay("pusher_signature", crate::pusher_signature::check);
    }

    #[test]
    fn socket_io() {
        replay("socket_io", crate::socket_io::check);
    }

    #[test]
    fn websocket() {
        replay("websocket", crate::websocket::check);
    }
}
