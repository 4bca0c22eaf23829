use chrono::{TimeDelta, Utc};
use sha2::{Digest as _, Sha256};

use super::super::schema;
use super::*;

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp_millis(1_790_000_000_123).unwrap()
}

fn audit(day: i64, target: &str) -> Audit {
    Audit {
        at: now() + TimeDelta::days(day),
        actor: "ada".into(),
        from: "192.0.2.1".into(),
        action: "trigger",
        target: Clean::line(target),
        detail: "priority 2".into(),
        outcome: "ok".into(),
    }
}

fn database() -> Connection {
    let mut connection = Connection::open_in_memory().unwrap();
    schema::migrate(&mut connection).unwrap();
    connection
}

/// Rows 1 to 9, a day apart.
fn nine() -> Connection {
    let connection = database();
    for day in 1..=9 {
        append(&connection, &audit(day, &format!("task-{day}"))).unwrap();
    }
    connection
}

fn whole(connection: &Connection) -> (u64, Option<String>) {
    match verify(connection).unwrap() {
        Verdict::Whole { rows, head, .. } => (rows, head),
        broken @ Verdict::Broken { .. } => panic!("{broken:?}"),
    }
}

#[test]
fn what_is_tampered_with_is_found_at_its_row() {
    let update = |what: &str| format!("UPDATE audit SET {what} WHERE seq = 5");
    let swap = "UPDATE audit SET seq = 105 WHERE seq = 5; UPDATE audit SET seq = 5 WHERE seq = 6; \
                UPDATE audit SET seq = 6 WHERE seq = 105";
    let copy = "UPDATE audit SET (at, actor, action, target, detail, outcome, source, hash) = \
                (SELECT at, actor, action, target, detail, outcome, source, hash FROM audit WHERE seq = 4) WHERE seq = 5";
    let forged = "INSERT INTO audit (seq, at, form, actor, action, target, detail, outcome, source, hash) \
                  SELECT 10, at, form, actor, action, target, detail, outcome, source, hash FROM audit WHERE seq = 9";
    let early = "INSERT INTO audit (seq, at, form, actor, action, target, detail, outcome, source, hash) \
                 SELECT 0, at, form, actor, action, target, detail, outcome, source, hash FROM audit WHERE seq = 9";
    for (tampering, row, words) in [
        (update("at = at + 1"), Some(5), "one of the two was changed"),
        (update("actor = 'eve'"), Some(5), "one of the two was changed"),
        (update("action = 'pause'"), Some(5), "one of the two was changed"),
        (update("target = 'task-6'"), Some(5), "one of the two was changed"),
        (update("detail = ''"), Some(5), "one of the two was changed"),
        (update("outcome = 'no'"), Some(5), "one of the two was changed"),
        (update("source = 'here'"), Some(5), "one of the two was changed"),
        (update("form = 1"), Some(5), "one of the two was changed"),
        (update("form = 3"), Some(5), "one of the two was changed"),
        (update("form = 1, source = ''"), Some(5), "one of the two was changed"),
        // Of one field to the next: their lengths are covered.
        (update("actor = 'adat', action = 'rigger'"), Some(5), "one of the two was changed"),
        (update("hash = zeroblob(32)"), Some(5), "one of the two was changed"),
        (update("hash = x''"), Some(5), "one of the two was changed"),
        ("UPDATE audit SET outcome = 'no' WHERE seq = 1".to_owned(), Some(1), "what the log begins with"),
        ("DELETE FROM audit WHERE seq = 5".to_owned(), Some(6), "row 5 before it is missing"),
        ("DELETE FROM audit WHERE seq BETWEEN 3 AND 5".to_owned(), Some(6), "rows 3 to 5 before it"),
        ("DELETE FROM audit WHERE seq <= 2".to_owned(), Some(3), "rows 1 to 2 before it are missing"),
        ("DELETE FROM audit WHERE seq = 9".to_owned(), None, "rows 9 to 9, the newest, are missing"),
        ("DELETE FROM audit WHERE seq > 6".to_owned(), None, "rows 7 to 9, the newest, are missing"),
        ("DELETE FROM audit".to_owned(), None, "rows 1 to 9, the newest, are missing"),
        (swap.to_owned(), Some(5), "one of the two was changed"),
        (copy.to_owned(), Some(5), "one of the two was changed"),
        (forged.to_owned(), Some(10), "one of the two was changed"),
        (early.to_owned(), Some(0), "what the log begins with"),
        ("UPDATE audit SET seq = 20 WHERE seq = 9".to_owned(), Some(20), "before it are missing"),
        (format!("DELETE FROM meta WHERE name = '{HEAD}'"), None, "the note of which row"),
        (
            format!("DELETE FROM audit WHERE seq > 6; DELETE FROM meta WHERE name = '{HEAD}'"),
            None,
            "the note of which row",
        ),
        (format!("UPDATE meta SET value = '9 nonsense' WHERE name = '{HEAD}'"), None, "does not hold a hash"),
        (
            format!(
                "UPDATE meta SET value = (SELECT '8 ' || hex(hash) FROM audit WHERE seq = 8) WHERE name = '{HEAD}'"
            ),
            None,
            "not the one that was noted",
        ),
    ] {
        let connection = nine();
        assert_eq!(whole(&connection).0, 9);
        connection.execute_batch(&tampering).unwrap();
        let Verdict::Broken { row: found, why, good } = verify(&connection).unwrap() else {
            panic!("{tampering}: not seen");
        };
        assert_eq!(found, row, "{tampering}: {why}");
        assert!(why.contains(words), "{tampering}: {why}");
        let wanted = match row {
            Some(row) => row.saturating_sub(1).min(if tampering.starts_with("DELETE") { 4 } else { 9 }),
            None => good,
        };
        assert!(good <= wanted, "{tampering}: {good}");
        // Writing goes on, and does not mend it.
        append(&connection, &audit(10, "later")).unwrap();
        assert!(matches!(verify(&connection).unwrap(), Verdict::Broken { .. }), "{tampering}: forgotten");
    }
}

#[test]
fn cleaning_keeps_the_anchor_and_numbers_go_on() {
    let connection = nine();
    let before = (now() + TimeDelta::days(5)).timestamp_millis();
    assert_eq!(clean(&connection, before).unwrap(), 4);
    assert_eq!(clean(&connection, before).unwrap(), 0);
    assert_eq!(whole(&connection).0, 5);
    connection.execute_batch("SAVEPOINT tampering; DELETE FROM audit WHERE seq = 5").unwrap();
    let Verdict::Broken { row, why, .. } = verify(&connection).unwrap() else { panic!("not seen") };
    assert_eq!((row, why.as_str()), (Some(6), "row 5 before it is missing"));
    connection.execute_batch("ROLLBACK TO tampering").unwrap();
    // All of it may go; what comes then fits on.
    assert_eq!(clean(&connection, i64::MAX).unwrap(), 5);
    assert_eq!(whole(&connection).0, 0);
    append(&connection, &audit(20, "a")).unwrap();
    append(&connection, &audit(21, "b")).unwrap();
    assert_eq!(whole(&connection).0, 2);
    let rows = page(&connection, 9, None).unwrap();
    assert_eq!(rows.iter().map(|row| row.seq).collect::<Vec<_>>(), [11, 10]);
}

#[test]
fn an_empty_log_is_whole() {
    let connection = database();
    assert_eq!(verify(&connection).unwrap(), Verdict::Whole { rows: 0, since: None, head: None });
}

/// As the first released version wrote them.
fn old_row(connection: &Connection, before: &[u8], day: i64) -> Vec<u8> {
    let at = (now() + TimeDelta::days(day)).timestamp_millis();
    let texts = ["ada", "trigger", "a", "", "ok"];
    let mut hash = Sha256::new();
    hash.update(before);
    hash.update(at.to_be_bytes());
    for text in texts {
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text.as_bytes());
    }
    let hash = hash.finalize().to_vec();
    let sql = "INSERT INTO audit (at, actor, action, target, detail, outcome, hash) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    let [actor, action, target, detail, outcome] = texts;
    connection.execute(sql, params![at, actor, action, target, detail, outcome, hash]).unwrap();
    hash
}

#[test]
fn rows_of_an_earlier_version_stay_verifiable() {
    for cleaned in [false, true] {
        let mut connection = Connection::open_in_memory().unwrap();
        schema::migrate_to(&mut connection, 2).unwrap();
        let mut before = GENESIS.to_vec();
        if cleaned {
            before = vec![7; 32];
            let sql = "INSERT INTO meta (name, value) VALUES (?1, ?2)";
            connection.execute(sql, params![ANCHOR, hex(&before)]).unwrap();
        }
        for day in 1..=3 {
            before = old_row(&connection, &before, day);
        }
        schema::migrate(&mut connection).unwrap();
        assert_eq!(whole(&connection), (3, Some(hex(&before))));
        append(&connection, &audit(4, "b")).unwrap();
        assert_eq!(whole(&connection).0, 4);
        let from: Vec<String> =
            page(&connection, 9, None).unwrap().into_iter().map(|row| row.from.to_string()).collect();
        assert_eq!(from, ["192.0.2.1", "", "", ""]);
        for tampering in [
            "UPDATE audit SET outcome = 'no' WHERE seq = 2",
            // Their hash does not cover a source: they have none.
            "UPDATE audit SET source = 'here' WHERE seq = 2",
            "UPDATE audit SET form = 2 WHERE seq = 2",
            "DELETE FROM audit WHERE seq = 2",
        ] {
            connection.execute_batch(&format!("SAVEPOINT tampering; {tampering}")).unwrap();
            assert!(matches!(verify(&connection).unwrap(), Verdict::Broken { .. }), "{tampering}");
            connection.execute_batch("ROLLBACK TO tampering; RELEASE tampering").unwrap();
        }
    }
}

#[test]
fn rows_are_read_page_by_page_and_since_an_instant() {
    let connection = nine();
    let seqs = |rows: &[AuditRow]| rows.iter().map(|row| row.seq).collect::<Vec<_>>();
    let first = page(&connection, 4, None).unwrap();
    assert_eq!(seqs(&first), [9, 8, 7, 6]);
    assert_eq!(seqs(&page(&connection, 4, Some(6)).unwrap()), [5, 4, 3, 2]);
    assert_eq!(seqs(&page(&connection, 4, Some(1)).unwrap()), [] as [u64; 0]);
    let mut rows = Vec::new();
    let since = (now() + TimeDelta::days(8)).timestamp_millis();
    each::<()>(&connection, since, |row| {
        rows.push(row);
        Ok(())
    })
    .unwrap()
    .unwrap();
    assert_eq!(seqs(&rows), [8, 9]);
    let row = &rows[1];
    assert_eq!(
        (row.by.as_str(), row.action.as_str(), row.target.as_str(), row.details.as_str()),
        ("ada", "trigger", "task-9", "priority 2")
    );
    assert_eq!(
        (row.result.as_str(), row.from.as_str(), row.at),
        ("ok", "192.0.2.1", now() + TimeDelta::days(9))
    );
    assert_eq!(Some(row.hash.clone()), whole(&connection).1);
    // Whoever wants no more is asked no more.
    let mut count = 0;
    let stopped = each(&connection, i64::MIN, |_| {
        count += 1;
        if count == 2 { Err("enough") } else { Ok(()) }
    });
    assert_eq!((stopped.unwrap(), count), (Err("enough"), 2));
}
