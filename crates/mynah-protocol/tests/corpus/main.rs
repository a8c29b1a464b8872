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
#[path = "../../../../fuzz/checks/socket_io.rs"]
mod socket_io;
#[cfg(test)]
#[path = "../../../../fuzz/checks/websocket.rs"]
mod websocket;

#[cfg(test)]
mod seeds {
    use std::fs;
    use std::path::Path;

    /// Judges every seed, and what is left of it when it is cut short.
    fn replay(target: &str, check: fn(&[u8])) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds").join(target);
        let mut count = 0;
        for entry in fs::read_dir(folder).unwrap() {
            let seed = fs::read(entry.unwrap().path()).unwrap();
            check(&seed);
            for end in 0..seed.len().min(256) {
                check(&seed[..end]);
            }
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
    fn socket_io() {
        replay("socket_io", crate::socket_io::check);
    }

    #[test]
    fn websocket() {
        replay("websocket", crate::websocket::check);
    }
}
