//! Values of columns as JSON, exactly.

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, SecondsFormat, Utc};
use serde_json::{Value, json};
use sqlx::Row;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use crate::asset::spec::ColumnSpec;
use crate::asset::table::ColumnType;

/// What stands for a date or an instant that lies infinitely far away, which no calendar has.
const INFINITE: &str = "infinite";

/// The value of the column that was selected as `c{index}`.
///
/// Whole numbers and floats are numbers, instants and dates are texts in ISO 8601 (instants in UTC), bytes are in
/// hexadecimal, arrays are arrays; what PostgreSQL has no other type for is the text PostgreSQL writes.
pub(super) fn value(row: &PgRow, index: usize, column: &ColumnSpec) -> Result<Value, sqlx::Error> {
    let name = format!("c{index}");
    let (element, is_array) = match column.sql_type.strip_suffix("[]") {
        Some(element) => (element, true),
        None => (column.sql_type, false),
    };
    match element {
        "boolean" => get::<bool>(row, &name, is_array, |value| json!(value)),
        "smallint" => get::<i16>(row, &name, is_array, |value| json!(value)),
        "integer" => get::<i32>(row, &name, is_array, |value| json!(value)),
        "bigint" => get::<i64>(row, &name, is_array, |value| json!(value)),
        // As many digits as tell it from its neighbours, not those of the double that is nearest to it.
        "real" => {
            get::<f32>(row, &name, is_array, |value| value.to_string().parse::<f64>().map_or(Value::Null, |v| json!(v)))
        }
        "double precision" => get::<f64>(row, &name, is_array, |value| json!(value)),
        "text" => get::<String>(row, &name, is_array, |value| json!(value)),
        "date" => get::<NaiveDate>(row, &name, is_array, |value| json!(value.to_string())),
        "time without time zone" => get::<NaiveTime>(row, &name, is_array, |value| json!(value.to_string())),
        "timestamp without time zone" => {
            get::<NaiveDateTime>(row, &name, is_array, |value| json!(value.format("%Y-%m-%dT%H:%M:%S%.f").to_string()))
        }
        "timestamp with time zone" => get::<DateTime<Utc>>(row, &name, is_array, |value| {
            json!(value.to_rfc3339_opts(SecondsFormat::AutoSi, true))
        }),
        "uuid" => get::<Uuid>(row, &name, is_array, |value| json!(value.to_string())),
        "jsonb" => get::<Value>(row, &name, is_array, |value| value),
        "bytea" => Ok(match row.try_get::<Option<Vec<u8>>, _>(name.as_str())? {
            Some(bytes) => {
                Value::String(bytes.iter().fold("\\x".to_owned(), |text, byte| text + &format!("{byte:02x}")))
            }
            None => Value::Null,
        }),
        _ => Ok(row.try_get_unchecked::<Option<String>, _>(name.as_str())?.map_or(Value::Null, Value::String)),
    }
}

fn get<T>(row: &PgRow, name: &str, is_array: bool, json: impl Fn(T) -> Value) -> Result<Value, sqlx::Error>
where
    T: ColumnType,
    Vec<T>: ColumnType,
    Option<T>: ColumnType,
    Option<Vec<T>>: ColumnType,
{
    let value = if is_array {
        <Option<Vec<T>>>::from_row(row, name).map(|values| values.map(|values| values.into_iter().map(&json).collect()))
    } else {
        <Option<T>>::from_row(row, name).map(|value| value.map(&json))
    };
    match value {
        Ok(value) => Ok(value.unwrap_or(Value::Null)),
        Err(sqlx::Error::ColumnDecode { .. }) => Ok(json!(INFINITE)),
        Err(error) => Err(error),
    }
}
