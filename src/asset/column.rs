//! Rust types that can be columns.

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, NaiveTime, Utc};
use serde_json::Value;
use sqlx::postgres::{PgRow, Postgres};
use sqlx::{Row, ValueRef};
use uuid::Uuid;

/// PostgreSQL's dates and instants begin in 4713 BC.
const FIRST_YEAR: i32 = -4712;

/// PostgreSQL's instants end in this year.
const LAST_YEAR_OF_INSTANTS: i32 = 294_276;

/// A Rust type that can be the type of a field in `table!`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a column",
    label = "no PostgreSQL type corresponds to it",
    note = "use bool, i16, i32, i64, f32, f64, String, Vec<u8>, NaiveDate, NaiveTime, NaiveDateTime, DateTime<Utc>, Uuid, serde_json::Value, a Vec of these, or an Option for what may be null"
)]
pub trait ColumnType:
    for<'q> sqlx::Encode<'q, Postgres> + for<'r> sqlx::Decode<'r, Postgres> + sqlx::Type<Postgres> + Send + Sync + 'static
{
    /// PostgreSQL's name of the type, as `format_type` prints it.
    const SQL_TYPE: &'static str;

    /// Whether the column may be null.
    const NULLABLE: bool = false;

    /// Why this value cannot be stored, and what to do; `None` when it can.
    fn refusal(&self) -> Option<String> {
        None
    }

    /// The value of the column `name` in `row`.
    ///
    /// # Errors
    /// When there is no such column, or its value does not fit the type.
    fn from_row(row: &PgRow, name: &str) -> Result<Self, sqlx::Error>
    where
        Self: Sized,
    {
        row.try_get(name)
    }
}

macro_rules! column_types {
    ($($type:ty, $sql_type:literal $(, { $($body:tt)* })?;)*) => {$(
        impl ColumnType for $type {
            const SQL_TYPE: &'static str = $sql_type;
            $($($body)*)?
        }

        impl ColumnType for Vec<$type> {
            const SQL_TYPE: &'static str = concat!($sql_type, "[]");

            fn refusal(&self) -> Option<String> {
                self.iter().find_map(ColumnType::refusal)
            }
        }
    )*};
}

column_types! {
    bool, "boolean";
    i16, "smallint";
    i32, "integer";
    i64, "bigint";
    f32, "real", {
        fn refusal(&self) -> Option<String> {
            refuse_number(f64::from(*self))
        }
    };
    f64, "double precision", {
        fn refusal(&self) -> Option<String> {
            refuse_number(*self)
        }
    };
    String, "text", {
        fn refusal(&self) -> Option<String> {
            refuse_text(self)
        }
    };
    NaiveDate, "date", {
        fn refusal(&self) -> Option<String> {
            refuse_year(self.year(), i32::MAX)
        }

        fn from_row(row: &PgRow, name: &str) -> Result<Self, sqlx::Error> {
            refuse_infinity(row, name)?;
            row.try_get(name)
        }
    };
    NaiveTime, "time without time zone";
    NaiveDateTime, "timestamp without time zone", {
        fn refusal(&self) -> Option<String> {
            refuse_year(self.year(), LAST_YEAR_OF_INSTANTS)
        }

        fn from_row(row: &PgRow, name: &str) -> Result<Self, sqlx::Error> {
            refuse_infinity(row, name)?;
            row.try_get(name)
        }
    };
    DateTime<Utc>, "timestamp with time zone", {
        fn refusal(&self) -> Option<String> {
            refuse_year(self.year(), LAST_YEAR_OF_INSTANTS)
        }

        fn from_row(row: &PgRow, name: &str) -> Result<Self, sqlx::Error> {
            refuse_infinity(row, name)?;
            row.try_get(name)
        }
    };
    Uuid, "uuid";
    Value, "jsonb", {
        fn refusal(&self) -> Option<String> {
            refuse_json(self)
        }
    };
}

impl ColumnType for Vec<u8> {
    const SQL_TYPE: &'static str = "bytea";
}

impl<T: ColumnType> ColumnType for Option<T> {
    const SQL_TYPE: &'static str = T::SQL_TYPE;

    const NULLABLE: bool = {
        assert!(!T::NULLABLE, "an `Option` of an `Option` cannot be a column: null is null");
        true
    };

    fn refusal(&self) -> Option<String> {
        self.as_ref().and_then(T::refusal)
    }

    fn from_row(row: &PgRow, name: &str) -> Result<Self, sqlx::Error> {
        if row.try_get_raw(name)?.is_null() { Ok(None) } else { T::from_row(row, name).map(Some) }
    }
}

fn refuse_number(number: f64) -> Option<String> {
    (!number.is_finite()).then(|| {
        format!("{number} can be neither added up nor compared: store null (in an `Option`), or leave the row out")
    })
}

fn refuse_text(text: &str) -> Option<String> {
    text.contains('\0').then(|| "PostgreSQL stores no text with a zero byte: remove it, or use `Vec<u8>`".to_owned())
}

fn refuse_year(year: i32, last: i32) -> Option<String> {
    (!(FIRST_YEAR..=last).contains(&year))
        .then(|| format!("the year {year} lies outside what PostgreSQL stores: correct it, or leave the row out"))
}

fn refuse_json(value: &Value) -> Option<String> {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
        Value::String(text) => refuse_text(text),
        Value::Array(values) => values.iter().find_map(refuse_json),
        Value::Object(fields) => {
            fields.iter().find_map(|(name, value)| refuse_text(name).or_else(|| refuse_json(value)))
        }
    }
}

/// PostgreSQL sends `infinity` and `-infinity` as the largest and smallest integer; chrono has neither.
fn refuse_infinity(row: &PgRow, name: &str) -> Result<(), sqlx::Error> {
    let is_infinite = match row.try_get_raw(name)?.as_bytes() {
        Ok([first, rest @ ..]) if rest.len() == 3 || rest.len() == 7 => {
            (*first == 0x7f && rest.iter().all(|&byte| byte == 0xff))
                || (*first == 0x80 && rest.iter().all(|&byte| byte == 0))
        }
        _ => false,
    };
    if is_infinite {
        return Err(sqlx::Error::ColumnDecode {
            index: name.to_owned(),
            source: "an infinite date has no day to belong to: store null or a date upstream".into(),
        });
    }
    Ok(())
}
