//! How many come again.
//!
//! Each visitor belongs to the period of the first event that makes a member; the periods in which one comes again are counted from it.

use std::{collections::BTreeMap, ops::Range};

use monitor_core::{
    QueryError, Scope,
    query::{Period, RetentionQuery, Source, Table},
};
use serde_json::Value as Cell;

use super::{
    ClickHouseStore,
    answer::share,
    counted,
    filter::{From, Selection, happening as conditions, matching_in, tenant},
    people::within,
    plan::{self, Cover, tables},
    raw::{OF_DAY, OF_EVENT, Sample, step_of},
};
use crate::{
    connection::Answer,
    sql::{Sql, Value},
};

/// Answers a question that was checked.
pub(super) async fn answer(store: &ClickHouseStore, scope: &Scope, query: &RetentionQuery) -> Result<Table, QueryError> {
    let known = store.known().await?;
    let range = query.from..query.to;
    let selection = Selection { scope, project: &query.project, kinds: &[], filters: &query.filters };
    let (visits, events, sample) = match plan::visits(query, &known, store.limits(), super::now()) {
        Some((cover, sample)) => {
            let rest = Vec::from_iter(cover.of_rest());
            (Some(cover), rest, sample)
        }
        None if query.exact => (None, tables(range, None), Sample::ALL),
        None => {
            let conditions = [query.first.filters.as_slice(), query.again.filters.as_slice()];
            let (sample, cover) = plan::sample_of_journeys(store.limits(), &known, &selection, &conditions, &range);
            (None, tables(range, cover.as_ref()), sample)
        }
    };
    let answer: Answer<(i64, i64, u64)> = store.ask(&select(query, &selection, visits.as_ref(), &events, sample)?).await?;
    let counts: BTreeMap<(i64, i64), u64> =
        answer.data.iter().map(|(cohort, period, count)| ((*cohort, *period), count * sample.0)).collect();
    let mut rows = Vec::new();
    for (&(cohort, _), &members) in counts.iter().filter(|((_, period), _)| *period == 0) {
        // Also the periods in which nobody came, up to the last that has begun.
        for period in (0..).take_while(|period| cohort + period * query.period.ms() < query.to) {
            let count = counts.get(&(cohort, period)).copied().unwrap_or(0);
            rows.push(vec![Cell::from(cohort), Cell::from(period), Cell::from(count), share(count, members)]);
        }
    }
    let source = if visits.is_none() && events.iter().all(|(table, _)| *table == From::Events) { Source::Events } else { Source::Rollup };
    let most = answer.data.iter().map(|(.., count)| *count).max().unwrap_or(0);
    let stats = counted(answer.statistics.rows_read, source, sample, most);
    Ok(Table { columns: RetentionQuery::COLUMNS.map(str::to_owned).to_vec(), rows, stats, ..Table::default() })
}

/// Rows of cohort, period and the number of those who came.
fn select(
    query: &RetentionQuery,
    selection: &Selection<'_>,
    visits: Option<&Cover>,
    events: &[(From, Vec<Range<i64>>)],
    sample: Sample,
) -> Result<Sql, QueryError> {
    let length = query.period.ms();
    let mut sql = Sql::new("SELECT cohort, arrayJoin(arrayConcat([0], arrayMap(x -> intDiv(x - cohort, ");
    sql.bind(Value::Integer(length)).push("), arrayFilter(x -> x > cohort, periods)))) AS later, count()");
    sql.push(" FROM (SELECT user_hash, minIf(period, first) AS cohort, groupUniqArrayIf(period, again) AS periods FROM (");
    let somebody = " AND user_hash != cityHash64('')";
    let mut begin = "SELECT user_hash, ";
    for (table, ranges) in visits.into_iter().flat_map(|cover| cover.sources(From::Sessions)) {
        sql.push(begin);
        begin = " UNION ALL SELECT user_hash, ";
        step_of(&mut sql, OF_DAY, length, monday(query.period));
        sql.push(" AS period");
        for (happening, name) in [(&query.first, " AS first"), (&query.again, " AS again")] {
            sql.push(", 1");
            if !happening.kinds.is_empty() {
                sql.push(" AND hasAny(kinds, ").bind(Value::kinds(&happening.kinds)).push(")");
            }
            conditions(&mut sql, &[], &happening.filters)?;
            sql.push(name);
        }
        tenant(&mut sql, table, selection.scope, selection.project)?;
        within(&mut sql, &ranges);
        conditions(&mut sql, &[], &query.filters)?;
        sample.condition(&mut sql);
        sql.push(somebody);
    }
    for (table, ranges) in events {
        sql.push(begin);
        begin = " UNION ALL SELECT user_hash, ";
        step_of(&mut sql, OF_EVENT, length, monday(query.period));
        sql.push(" AS period, 1");
        conditions(&mut sql, &query.first.kinds, &query.first.filters)?;
        sql.push(" AS first, 1");
        conditions(&mut sql, &query.again.kinds, &query.again.filters)?;
        sql.push(" AS again");
        matching_in(&mut sql, *table, selection, ranges)?;
        sample.condition(&mut sql);
        sql.push(somebody);
    }
    sql.push(") GROUP BY user_hash HAVING max(first)) GROUP BY cohort, later ORDER BY cohort, later");
    Ok(sql)
}

/// What is added to a time so that periods begin at multiples of their length: 1970 began on a Thursday.
pub(super) fn monday(period: Period) -> i64 {
    match period {
        Period::Day => 0,
        Period::Week => 3 * Period::Day.ms(),
    }
}
