//! What whoever operates a coordinator reads of it.

use reqwest::header::CONTENT_TYPE;

use super::Home;

/// The value of a sample in the text that Prometheus reads.
fn sample(text: &str, name: &str) -> f64 {
    let line = text.lines().find(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(' ')));
    line.unwrap_or_else(|| panic!("no {name} in\n{text}")).rsplit(' ').next().unwrap().parse().unwrap()
}

#[tokio::test]
async fn metrics_tell_the_state_and_what_was_counted() {
    let home = Home::new(
        "[[task]]\nid = \"good\"\ncommand = [\"true\"]\n[[task]]\nid = \"bad\"\ncommand = [\"false\"]\n\
         [limits]\ncoordinator = 1\n[[task]]\nid = \"long\"\ncommand = [\"sleep\", \"600\"]\nteam = \"data\"\n\
         [[task]]\nid = \"waits\"\ncommand = [\"true\"]\npriority = 1\n",
    );
    let served = home.serve().await;
    for (task, state) in [("good", "succeeded"), ("bad", "failed")] {
        let run = served.start_run(task).await;
        served.until_run(&run, state).await;
    }
    let long = served.start_run("long").await;
    served.until_run(&long, "running").await;
    served.start_run("waits").await;
    let response = served.get("/metrics").send().await.unwrap();
    let kind = response.headers()[CONTENT_TYPE].to_str().unwrap().to_owned();
    assert!(kind.starts_with("application/openmetrics-text; version=1.0.0"), "{kind}");
    let text = response.text().await.unwrap();
    for (name, value) in [
        ("vigie_tasks{state=\"failing\"}", 1.0),
        ("vigie_tasks{state=\"running\"}", 1.0),
        ("vigie_tasks{state=\"queued\"}", 1.0),
        ("vigie_queue_depth{queue=\"default\",priority=\"1\"}", 1.0),
        ("vigie_queue_running{queue=\"data\"}", 1.0),
        ("vigie_alerts{kind=\"failed\",severity=\"critical\"}", 1.0),
        ("vigie_runs_total{state=\"succeeded\"}", 1.0),
        ("vigie_runs_total{state=\"failed\"}", 1.0),
        ("vigie_start_delay_seconds_count", 3.0),
        ("vigie_http_requests_total{code=\"202\"}", 4.0),
        ("vigie_commits_refused_total", 0.0),
    ] {
        assert!((sample(&text, name) - value).abs() < 0.5, "{name} is not {value} in\n{text}");
    }
    assert!(sample(&text, "vigie_commit_seconds_count") >= 4.0);
    assert!(sample(&text, "vigie_database_size_bytes") > 10_000.0);
    assert!(text.ends_with("# EOF\n"));
    let refused = served.bare(reqwest::Method::GET, "/metrics").send().await.unwrap();
    assert_eq!(refused.status(), 401);
    served.stop().await;
}
