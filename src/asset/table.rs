//! The row struct of an asset: the contract of its table.

use sqlx::FromRow;
use sqlx::postgres::PgRow;

pub use super::column::ColumnType;
use super::rows::{RowEncoder, ValueError};
use super::spec::ColumnSpec;

/// A row struct, made by [`table!`](crate::table).
///
/// Its fields are the columns of the table, in order; it is read by column name, so the order in a `select` is free.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no row struct",
    label = "not declared with `table!`",
    note = "write `table! {{ pub struct {Self} {{ … }} }}`: its fields are the columns of the asset's table"
)]
pub trait Table: for<'r> FromRow<'r, PgRow> + Clone + Send + Sync + Unpin + 'static {
    /// The name of the struct.
    const NAME: &'static str;

    /// Its doc comment as written, line by line.
    const DESCRIPTION: &'static str;

    /// Its fields.
    const COLUMNS: &'static [Column];

    /// The file that declares it.
    const SOURCE_FILE: &'static str;

    /// Writes all values in the order of [`Self::COLUMNS`].
    ///
    /// # Errors
    /// When a value cannot be stored.
    fn encode(&self, row: &mut RowEncoder<'_>) -> Result<(), ValueError>;
}

/// One field of a row struct.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    /// The name of field and column.
    pub name: &'static str,
    /// PostgreSQL's name of the type.
    pub sql_type: &'static str,
    /// Whether it is an `Option`.
    pub nullable: bool,
    /// Its doc comment as written, line by line.
    pub description: &'static str,
}

impl Column {
    /// The column that a field of type `T` makes.
    #[must_use]
    pub const fn of<T: ColumnType>(field: &'static str, description: &'static str) -> Self {
        Self { name: column_name(field), sql_type: T::SQL_TYPE, nullable: T::NULLABLE, description }
    }

    /// The same as plain data, with the description in one paragraph per blank line.
    #[must_use]
    pub fn to_spec(&self) -> ColumnSpec {
        ColumnSpec {
            name: self.name.to_owned(),
            sql_type: self.sql_type,
            nullable: self.nullable,
            description: paragraphs(self.description),
        }
    }
}

/// The name of a field without the `r#` that Rust needs before its own words.
#[must_use]
pub const fn column_name(field: &'static str) -> &'static str {
    match field.as_bytes() {
        [b'r', b'#', ..] => field.split_at(2).1,
        _ => field,
    }
}

/// A doc comment as text: lines joined, paragraphs kept.
#[must_use]
pub fn paragraphs(doc_comment: &str) -> String {
    let mut text = String::with_capacity(doc_comment.len());
    let mut is_new_paragraph = false;
    for line in doc_comment.lines().map(str::trim) {
        if line.is_empty() {
            is_new_paragraph = !text.is_empty();
            continue;
        }
        if is_new_paragraph {
            text.push_str("\n\n");
        } else if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(line);
        is_new_paragraph = false;
    }
    text
}

/// Declares the row struct of an asset.
///
/// The struct is the contract of the asset's table: fields are columns, in order; an `Option` is a column that may be
/// null; doc comments become the descriptions of table and columns in PostgreSQL and on the pages. It gets `Clone`,
/// `Debug`, `PartialEq`, reading by column name (`sqlx::FromRow`) and writing in bulk.
///
/// An `impl Asset` for the struct must follow: declaring it is what makes the compiler check the key, the partition
/// column, the natural key, and that no circle of upstreams leads back to it.
///
/// ```
/// use karat::prelude::*;
///
/// table! {
///     /// Messages as they came in.
///     pub struct Messages {
///         /// When the message was sent.
///         pub sent_at: DateTime<Utc>,
///         pub author: String,
///     }
/// }
///
/// impl Asset for Messages {
///     const KEY: AssetKey = AssetKey::new("raw.messages");
///     type Partitions = Daily;
///     const PARTITION_COLUMN: &'static str = "sent_at";
///     type Upstream = ();
/// }
///
/// impl ExternalAsset for Messages {}
/// ```
#[macro_export]
macro_rules! table {
    (
        $(#[$($attribute:tt)*])*
        $visibility:vis struct $name:ident {
            $(
                $(#[$($field_attribute:tt)*])*
                $field_visibility:vis $field:ident : $type:ty
            ),* $(,)?
        }
    ) => {
        $(#[$($attribute)*])*
        #[derive(Clone, Debug, PartialEq)]
        $visibility struct $name {
            $(
                $(#[$($field_attribute)*])*
                #[allow(missing_docs)]
                $field_visibility $field: $type,
            )*
        }

        impl $crate::asset::table::Table for $name {
            const NAME: &'static str = stringify!($name);
            const DESCRIPTION: &'static str =
                concat!("", $($crate::__karat_doc_line!($($attribute)*), "\n",)*);
            const COLUMNS: &'static [$crate::asset::table::Column] = &[$(
                $crate::asset::table::Column::of::<$type>(
                    stringify!($field),
                    concat!("", $($crate::__karat_doc_line!($($field_attribute)*), "\n",)*),
                ),
            )*];
            const SOURCE_FILE: &'static str = file!();

            fn encode(
                &self,
                row: &mut $crate::asset::rows::RowEncoder<'_>,
            ) -> ::core::result::Result<(), $crate::asset::rows::ValueError> {
                $(row.value($crate::asset::table::column_name(stringify!($field)), &self.$field)?;)*
                ::core::result::Result::Ok(())
            }
        }

        impl<'r> $crate::asset::private::sqlx::FromRow<'r, $crate::asset::private::sqlx::postgres::PgRow> for $name {
            fn from_row(
                row: &'r $crate::asset::private::sqlx::postgres::PgRow,
            ) -> ::core::result::Result<Self, $crate::asset::private::sqlx::Error> {
                ::core::result::Result::Ok(Self {
                    $($field: <$type as $crate::asset::table::ColumnType>::from_row(
                        row,
                        $crate::asset::table::column_name(stringify!($field)),
                    )?,)*
                })
            }
        }

        const _: () = <$name as $crate::asset::declare::Declared>::VALID;
    };
}

/// The text of a doc comment's line; nothing for any other attribute.
#[doc(hidden)]
#[macro_export]
macro_rules! __karat_doc_line {
    (doc = $line:literal) => {
        $line
    };
    ($($other:tt)*) => {
        ""
    };
}
