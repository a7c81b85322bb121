//! Every path of readers: what it takes, and what it asks. Whatever is not in this list does not exist.

use http::Method;

/// What a reader asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Question {
    Table,
    Events,
    Export,
    Funnel,
    Retention,
    Paths,
    Sessions,
    Issues,
    SetIssue,
    Projects,
    Storage,
    System,
    Me,
    Live,
    Panels,
    LoginWays,
    LogIn,
    LogOut,
    Description,
}

/// A path and a method.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) path: &'static str,
    pub(crate) takes: Takes,
    pub(crate) question: Question,
}

/// The method of a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Takes {
    /// And `HEAD`.
    Get,
    /// With a JSON document.
    Post,
}

const fn get(path: &'static str, question: Question) -> Route {
    Route { path, takes: Takes::Get, question }
}

const fn post(path: &'static str, question: Question) -> Route {
    Route { path, takes: Takes::Post, question }
}

/// All of them, as `openapi.json` describes them.
pub(crate) const ROUTES: &[Route] = &[
    post("/query", Question::Table),
    post("/query/events", Question::Events),
    post("/query/events/export", Question::Export),
    post("/query/funnel", Question::Funnel),
    post("/query/retention", Question::Retention),
    post("/query/paths", Question::Paths),
    post("/query/sessions", Question::Sessions),
    post("/query/issues", Question::Issues),
    post("/query/issues/state", Question::SetIssue),
    get("/query/projects", Question::Projects),
    get("/query/storage", Question::Storage),
    get("/query/system", Question::System),
    get("/query/me", Question::Me),
    get("/live", Question::Live),
    get("/live/ws", Question::Panels),
    get("/login", Question::LoginWays),
    post("/login", Question::LogIn),
    post("/logout", Question::LogOut),
    get("/openapi.json", Question::Description),
];

/// The question of a path and a method: `None` when there is no such path, an error with what it takes when it is another method.
pub(crate) fn find(path: &str, method: &Method) -> Option<Result<&'static Route, &'static str>> {
    let of_path = || ROUTES.iter().filter(|route| route.path == path);
    let takes = match *method {
        Method::GET | Method::HEAD => Some(Takes::Get),
        Method::POST => Some(Takes::Post),
        _ => None,
    };
    if let Some(route) = of_path().find(|route| Some(route.takes) == takes) {
        return Some(Ok(route));
    }
    let has = |wanted| of_path().any(|route| route.takes == wanted);
    match (has(Takes::Get), has(Takes::Post)) {
        (true, true) => Some(Err("GET, HEAD, POST")),
        (true, false) => Some(Err("GET, HEAD")),
        (false, true) => Some(Err("POST")),
        (false, false) => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_list_is_what_is_described() {
        let description: serde_json::Value = serde_json::from_str(include_str!("../openapi.json")).unwrap();
        let described: BTreeSet<(&str, &str)> = description["paths"]
            .as_object()
            .unwrap()
            .iter()
            .flat_map(|(path, methods)| methods.as_object().unwrap().keys().map(|method| (path.as_str(), method.as_str())))
            .collect();
        let method = |takes| if takes == Takes::Get { "get" } else { "post" };
        assert_eq!(described, ROUTES.iter().map(|route| (route.path, method(route.takes))).collect());
    }

    #[test]
    fn a_path_is_found_with_its_method_or_says_what_it_takes() {
        let question = |path, method| find(path, &method).map(|found| found.map(|route| route.question));
        assert_eq!(question("/query", Method::POST), Some(Ok(Question::Table)));
        assert_eq!(question("/query", Method::GET), Some(Err("POST")));
        assert_eq!(question("/live", Method::HEAD), Some(Ok(Question::Live)));
        assert_eq!(question("/login", Method::GET), Some(Ok(Question::LoginWays)));
        assert_eq!(question("/login", Method::DELETE), Some(Err("GET, HEAD, POST")));
        assert_eq!(question("/query/", Method::POST), None);
    }
}
