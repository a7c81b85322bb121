//! What is kept, and how much it takes.

use monitor_core::{
    QueryError,
    query::{STORAGE_COLUMNS, Stats, Table},
};
use serde_json::Value as Cell;

use super::{
    ClickHouseStore,
    answer::{Shape, tidy},
};
use crate::{
    connection::Answer,
    sql::{Sql, Value},
};

/// Answers the question.
pub(super) async fn answer(store: &ClickHouseStore) -> Result<Table, QueryError> {
    // Partitions of all tables by day are named after it; the others have one without a name.
    let mut sql = Sql::new(
        "SELECT table, sum(rows), sum(bytes_on_disk), \
         toUnixTimestamp(toDateTime(minIf(toDateOrNull(partition), partition LIKE '____-__-__'), 'UTC')) * 1000 \
         FROM system.parts WHERE active AND database = ",
    );
    sql.bind(Value::Text(store.connection.options().database.clone()));
    sql.push(" AND (table = 'events' OR table LIKE 'rollup\\\\_%') AND table NOT LIKE '%\\\\_staging' AND table != 'rollup_state'");
    sql.push(" GROUP BY table ORDER BY table");
    let answer: Answer<Vec<Cell>> = store.ask(&sql).await?;
    let shapes = [Shape::Text, Shape::Number, Shape::Number, Shape::Number];
    let rows = answer.data.into_iter().map(|row| row.into_iter().zip(shapes).map(|(cell, shape)| tidy(cell, shape)).collect());
    let stats = Stats { rows_read: answer.statistics.rows_read, ..Stats::default() };
    Ok(Table { columns: STORAGE_COLUMNS.map(str::to_owned).to_vec(), rows: rows.collect(), stats, ..Table::default() })
}
