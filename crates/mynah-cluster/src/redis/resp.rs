//! RESP 2, as far as publish and subscribe need it: one frame at a time, nothing copied.

/// A frame is at most this long; what is longer is no answer to what we ask.
const FRAME_BYTES_MAX: usize = 64 << 20;
/// A line without data is at most this long.
const LINE_BYTES_MAX: usize = 64 << 10;
/// The messages we ask for have three items, or four with a pattern.
const ITEMS_MAX: usize = 8;

/// One frame.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Frame<'a> {
    /// `+PONG`
    Simple(&'a [u8]),
    /// `-NOPERM this user has no permissions …`
    Error(&'a [u8]),
    /// `:1`
    Integer(i64),
    /// `$5 hello`; `None` is nil.
    Bulk(Option<&'a [u8]>),
    /// A list without lists in it; `None` is nil.
    List(Option<Items<'a>>),
}

/// The strings and numbers of a list, numbers as their digits, nil as nothing.
pub(super) type Items<'a> = Vec<&'a [u8]>;

/// Not RESP, or more than we ask for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Garbage;

type Decoded<'a, T> = Result<Option<(T, &'a [u8])>, Garbage>;

/// Reads a frame from the front of `input`, and how many bytes it took; `None` if it is not all there.
pub(super) fn decode(input: &[u8]) -> Result<Option<(Frame<'_>, usize)>, Garbage> {
    let Some((kind, rest)) = input.split_first() else { return Ok(None) };
    let decoded = match kind {
        b'+' => line(rest)?.map(|(text, rest)| (Frame::Simple(text), rest)),
        b'-' => line(rest)?.map(|(text, rest)| (Frame::Error(text), rest)),
        b':' => number(rest)?.map(|(number, rest)| (Frame::Integer(number), rest)),
        b'$' => bulk(rest)?.map(|(text, rest)| (Frame::Bulk(text), rest)),
        b'*' => list(rest)?.map(|(items, rest)| (Frame::List(items), rest)),
        _ => return Err(Garbage),
    };
    Ok(decoded.map(|(frame, rest)| (frame, input.len() - rest.len())))
}

fn line(input: &[u8]) -> Decoded<'_, &[u8]> {
    // What may be long comes with its length; a line's end is near.
    let searched = input.get(..LINE_BYTES_MAX).unwrap_or(input);
    let Some(end) = searched.iter().position(|byte| *byte == b'\r') else {
        return if searched.len() < input.len() { Err(Garbage) } else { Ok(None) };
    };
    let (text, rest) = input.split_at(end);
    match rest {
        [b'\r', b'\n', rest @ ..] => Ok(Some((text, rest))),
        [b'\r'] => Ok(None),
        _ => Err(Garbage),
    }
}

fn number(input: &[u8]) -> Decoded<'_, i64> {
    let Some((text, rest)) = line(input)? else { return Ok(None) };
    let text = str::from_utf8(text).map_err(|_not_text| Garbage)?;
    let number = text.parse().map_err(|_no_number| Garbage)?;
    Ok(Some((number, rest)))
}

fn bulk(input: &[u8]) -> Decoded<'_, Option<&[u8]>> {
    let Some((length, rest)) = number(input)? else { return Ok(None) };
    if length == -1 {
        return Ok(Some((None, rest)));
    }
    let length = usize::try_from(length).map_err(|_negative| Garbage)?;
    if length > FRAME_BYTES_MAX {
        return Err(Garbage);
    }
    let Some((text, rest)) = rest.split_at_checked(length) else { return Ok(None) };
    match rest {
        [b'\r', b'\n', rest @ ..] => Ok(Some((Some(text), rest))),
        [] | [b'\r'] => Ok(None),
        _ => Err(Garbage),
    }
}

fn list(input: &[u8]) -> Decoded<'_, Option<Items<'_>>> {
    let Some((length, mut rest)) = number(input)? else { return Ok(None) };
    if length == -1 {
        return Ok(Some((None, rest)));
    }
    let length = usize::try_from(length).map_err(|_negative| Garbage)?;
    if length > ITEMS_MAX {
        return Err(Garbage);
    }
    let mut items = Items::with_capacity(length);
    for _ in 0..length {
        let Some((kind, after)) = rest.split_first() else { return Ok(None) };
        let item = match kind {
            b'$' => bulk(after)?.map(|(text, rest)| (text.unwrap_or_default(), rest)),
            b':' | b'+' => line(after)?,
            _ => return Err(Garbage),
        };
        let Some((item, after)) = item else { return Ok(None) };
        items.push(item);
        rest = after;
    }
    Ok(Some((Some(items), rest)))
}

/// Appends the head of a command of so many parts.
pub(super) fn command(parts: usize, out: &mut Vec<u8>) {
    length(b'*', parts, out);
}

/// Appends one part, given in two pieces.
pub(super) fn part(prefix: &[u8], text: &[u8], out: &mut Vec<u8>) {
    length(b'$', prefix.len() + text.len(), out);
    out.extend_from_slice(prefix);
    out.extend_from_slice(text);
    out.extend_from_slice(b"\r\n");
}

fn length(kind: u8, length: usize, out: &mut Vec<u8>) {
    out.push(kind);
    crate::digits(length as u64, out);
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn whole(input: &[u8]) -> Frame<'_> {
        let (frame, taken) = decode(input).unwrap().unwrap();
        assert_eq!(taken, input.len());
        frame
    }

    #[test]
    fn reads_what_redis_answers() {
        assert_eq!(whole(b"+PONG\r\n"), Frame::Simple(b"PONG"));
        assert_eq!(whole(b"-ERR no\r\n"), Frame::Error(b"ERR no"));
        assert_eq!(whole(b":12\r\n"), Frame::Integer(12));
        assert_eq!(whole(b"$-1\r\n"), Frame::Bulk(None));
        assert_eq!(whole(b"*-1\r\n"), Frame::List(None));
        assert_eq!(
            whole(b"*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n"),
            Frame::List(Some(vec![b"subscribe", b"a", b"1"]))
        );
        assert_eq!(
            whole(b"*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$4\r\n\r\n\r\n\r\n"),
            Frame::List(Some(vec![b"message", b"a", b"\r\n\r\n"]))
        );
    }

    #[test]
    fn a_part_of_a_frame_is_no_frame() {
        let frame = b"*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$4\r\n\r\n\r\n\r\n";
        for end in 0..frame.len() {
            assert_eq!(decode(&frame[..end]), Ok(None), "{end}");
        }
    }

    #[test]
    fn refuses_what_is_no_answer() {
        for garbage in [
            &b"HTTP/1.1 400 Bad Request\r\n"[..],
            b"$-2\r\n",
            b"$99999999999\r\n",
            b"*9\r\n",
            b"*1\r\n*1\r\n",
            b":x\r\n",
            b"+a\rb",
            b"$1\r\nab\r\n",
        ] {
            assert_eq!(decode(garbage), Err(Garbage), "{}", String::from_utf8_lossy(garbage));
        }
        assert_eq!(
            decode(&[b"+", vec![b'a'; LINE_BYTES_MAX + 1].as_slice()].concat()),
            Err(Garbage)
        );
    }

    proptest! {
        #[test]
        fn takes_any_bytes(input in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _decoded = decode(&input);
        }

        #[test]
        fn reads_what_it_writes(parts in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..ITEMS_MAX)) {
            let mut out = Vec::new();
            command(parts.len(), &mut out);
            for whole in &parts {
                part(b"", whole, &mut out);
            }
            let (frame, taken) = decode(&out).unwrap().unwrap();
            prop_assert_eq!(taken, out.len());
            let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
            prop_assert_eq!(frame, Frame::List(Some(parts)));
        }
    }
}
