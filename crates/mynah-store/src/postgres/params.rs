//! Parameters with their types, so that no statement has to be prepared to learn them.

use tokio_postgres::types::{ToSql, Type};

/// A parameter of a statement.
pub(super) trait Param: Sync {
    /// As it is sent.
    fn sql(&self) -> &(dyn ToSql + Sync);
    /// Its type in the database.
    fn kind(&self) -> Type;
}

macro_rules! params {
    ($($rust:ty => $one:ident, $many:ident;)+) => {
        $(
            params!(@one $rust, $one);
            params!(@one Option<$rust>, $one);
            params!(@one Vec<$rust>, $many);
            params!(@one Vec<Option<$rust>>, $many);
        )+
    };
    (@one $rust:ty, $kind:ident) => {
        impl Param for $rust {
            fn sql(&self) -> &(dyn ToSql + Sync) {
                self
            }

            fn kind(&self) -> Type {
                Type::$kind
            }
        }
    };
}

params! {
    bool => BOOL, BOOL_ARRAY;
    i16 => INT2, INT2_ARRAY;
    i32 => INT4, INT4_ARRAY;
    i64 => INT8, INT8_ARRAY;
    &str => TEXT, TEXT_ARRAY;
    String => TEXT, TEXT_ARRAY;
    Vec<u8> => BYTEA, BYTEA_ARRAY;
}

/// A count as a column; those that do not fit are more than there can be.
pub(super) fn count(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// PostgreSQL takes no zero characters in texts: each becomes a replacement character.
pub(super) fn clean(text: &mut String) {
    if text.contains('\0') {
        *text = text.replace('\0', "\u{fffd}");
    }
}
