//! Sessions, tokens and answers, as the real one deals in them.

use super::*;

impl World {
    pub(super) fn new() -> Self {
        Self {
            switches: Switches::default(),
            lose: VecDeque::new(),
            cut: VecDeque::new(),
            stall: false,
            instead: VecDeque::new(),
            clock: "2026-11-20T07:00:00Z".parse().unwrap(),
            second_factor: None,
            sessions: Vec::new(),
            seen: Vec::new(),
            concurrent: 0,
            refused: 0,
            data: Data::default(),
            caller: None,
            tokens: 0,
        }
    }

    /// The token of a new session that was made for vigie, as somebody configures it.
    pub fn fresh_token(&mut self) -> String {
        let life = TimeDelta::hours(720);
        let n = self.begin("made for vigie", None, life);
        self.sessions[n].token.clone()
    }

    /// Names of procedures called so far, in order.
    pub fn calls(&self) -> Vec<&str> {
        self.seen.iter().map(|seen| seen.procedure.as_str()).collect()
    }

    /// How often a procedure was called.
    pub fn count(&self, procedure: &str) -> usize {
        self.seen.iter().filter(|seen| seen.procedure == procedure).count()
    }

    /// Ends every session that was forked, or logged in by name.
    pub fn end_sessions(&mut self, which: impl Fn(&Login) -> bool) {
        self.sessions.iter_mut().filter(|session| which(session)).for_each(|session| session.active = false);
    }

    pub(super) fn token(&mut self) -> String {
        self.tokens += 1;
        format!(
            "{:08x}-70ke-4n00-8000-{:012x}",
            self.tokens.wrapping_mul(0x9e37_79b9) & 0xffff_ffff,
            self.tokens
        )
    }

    pub(super) fn begin(&mut self, name: &str, parent: Option<u64>, life: TimeDelta) -> usize {
        let token = self.token();
        let life = self.switches.longest_life.map_or(life, |longest| longest.min(life));
        self.sessions.push(Login {
            id: 100 + self.sessions.len() as u64,
            name: name.to_owned(),
            parent,
            token,
            expires: self.clock + life,
            authorised: true,
            active: true,
            busy: false,
        });
        self.sessions.len() - 1
    }

    /// The session that a token is good for now.
    pub(super) fn admit(&self, token: Option<&str>) -> Option<usize> {
        let now = self.clock;
        self.sessions.iter().position(|s| s.active && s.expires > now && Some(s.token.as_str()) == token)
    }

    pub(super) fn life(body: &Value) -> Result<TimeDelta, Failure> {
        match body["tokenExpirationHours"].as_i64().unwrap_or(24) {
            hours @ 1..=720 => Ok(TimeDelta::hours(hours)),
            _ => Err(Failure::new(400, "tokenExpirationHours must be between 1 and 720")),
        }
    }

    pub(super) fn session_row(&self, n: usize) -> Value {
        let session = &self.sessions[n];
        json!({
            "nextRequestToken": session.token,
            "tokenExpiration": session.expires.to_rfc3339_opts(SecondsFormat::Micros, false),
            "expirationHours": (session.expires - self.clock).num_hours(),
            "vaultOrganization": "{\"key\":\"0rg-vault\"}",
            "isAuthorized": session.authorised,
            "preferredLanguage": "en",
            "authenticationStatus": if session.authorised { "Authenticated" } else { "TFA required" },
        })
    }

    /// Calls that begin no answer with a token of the caller: a login.
    pub(super) fn log_in(&mut self, headers: &HeaderMap, body: &Value) -> Result<Vec<Set>, Failure> {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let expected =
            format!("0x{}", hex(&Sha256::digest(format!("{PASSWORD}Rd!@cc111$ecur3P@$w0rd$@lt#H@$h"))));
        if text("rediacc-useremail") != EMAIL || text("rediacc-userhash") != expected {
            return Err(Failure::new(401, "Invalid email or password."));
        }
        let life = Self::life(body)?;
        let code = body["tFACode"].as_str();
        if let Some(wanted) = &self.second_factor
            && self.switches.code_at_login
        {
            match code {
                None => return Err(Failure::new(403, "TFA code required")),
                Some(code) if code == wanted => self.second_factor = Some("spent".to_owned()),
                Some(_) => return Err(Failure::new(401, "Invalid TFA code")),
            }
        } else if self.second_factor.is_some() {
            let n = self.begin(body["name"].as_str().unwrap_or_default(), None, life);
            self.sessions[n].authorised = false;
            return Ok(vec![vec![self.session_row(n)]]);
        }
        let n = self.begin(body["name"].as_str().unwrap_or_default(), None, life);
        Ok(vec![vec![self.session_row(n)]])
    }

    /// What the session `n` may do with itself and its kin; `None`: it is no such procedure.
    pub(super) fn of_sessions(
        &mut self,
        n: usize,
        name: &str,
        body: &Value,
    ) -> Option<Result<Vec<Set>, Failure>> {
        Some(match name {
            "ForkAuthenticationRequest" => self.fork(n, body),
            "PrivilegeAuthenticationRequest" => self.privilege(n, body),
            "DeleteUserRequest" => {
                let target = body["targetRequestId"].as_u64().unwrap_or(self.sessions[n].id);
                self.end_sessions(|session| session.id == target || session.parent == Some(target));
                Ok(vec![vec![json!({"result": "Request deleted"})]])
            }
            "GetUserRequests" => Ok(vec![
                self.sessions
                    .iter()
                    .map(|s| {
                        json!({
                            "requestId": s.id, "userEmail": EMAIL, "sessionName": s.name, "isActive": s.active,
                            "parentRequestId": s.parent, "permissionsName": "Administrators",
                            "expirationTime": s.expires.to_rfc3339_opts(SecondsFormat::Secs, false),
                        })
                    })
                    .collect(),
            ]),
            _ => return None,
        })
    }

    pub(super) fn fork(&mut self, n: usize, body: &Value) -> Result<Vec<Set>, Failure> {
        let name =
            body["childName"].as_str().ok_or_else(|| Failure::new(400, "childName is required"))?.to_owned();
        let life = Self::life(body)?;
        let (parent, authorised) = (self.sessions[n].id, self.sessions[n].authorised);
        let child = self.begin(&name, Some(parent), life);
        self.sessions[child].authorised = authorised;
        let mut row = self.session_row(child);
        row["parentRequestId"] = json!(parent);
        Ok(vec![vec![row]])
    }

    pub(super) fn privilege(&mut self, n: usize, body: &Value) -> Result<Vec<Set>, Failure> {
        if self.second_factor.is_none() || body["tFACode"].as_str() != self.second_factor.as_deref() {
            return Err(Failure::new(401, "Invalid TFA code"));
        }
        self.second_factor = Some("spent".to_owned());
        self.sessions[n].authorised = true;
        Ok(vec![vec![json!({
            "userEmail": EMAIL, "result": "OK", "isAuthorized": true, "isTFAEnabled": true
        })]])
    }

    /// What is answered once a token is admitted.
    pub(super) fn act(&mut self, n: usize, name: &str, body: &Value) -> Result<Vec<Set>, Failure> {
        self.caller = Some(self.sessions[n].id);
        if !self.sessions[n].authorised && name != "PrivilegeAuthenticationRequest" {
            return Err(Failure::new(403, "TFA verification required"));
        }
        if let Some(result) = self.of_sessions(n, name, body) {
            return result;
        }
        match procedures::TABLE.iter().find(|(known, _)| *known == name) {
            Some((_, procedure)) => procedure(self, body),
            None => Err(Failure::new(404, format!("Could not find stored procedure '{name}'."))),
        }
    }

    /// The envelope, in the generation's clothes.
    pub(super) fn envelope(&self, token: Option<String>, result: Result<Vec<Set>, Failure>) -> Value {
        let (failure, errors, mut sets) = match result {
            Ok(sets) => (0, Vec::new(), sets),
            Err(Failure { code, error }) => (code, vec![error], Vec::new()),
        };
        let mut top = Map::new();
        match token {
            Some(token) if self.switches.token_on_top => {
                top.insert("nextRequestToken".to_owned(), json!(token));
            }
            Some(token) => sets.insert(0, vec![json!({"nextRequestToken": token})]),
            None => {}
        }
        if self.switches.extra_sets {
            // Between the others and at the end; the token stays where it is.
            let at = sets.len().min(1);
            sets.insert(at, Vec::new());
            sets.push(Vec::new());
        }
        let sets: Vec<Value> = sets
            .into_iter()
            .enumerate()
            .map(|(n, rows)| json!({"data": rows, "resultSetIndex": n, "resultSetName": format!("Set{n}")}))
            .collect();
        top.insert("failure".to_owned(), json!(failure));
        top.insert("errors".to_owned(), json!(errors));
        top.insert("message".to_owned(), json!(""));
        top.insert(if self.switches.tables { "tables" } else { "resultSets" }.to_owned(), json!(sets));
        top.insert("outputs".to_owned(), json!({}));
        self.dress(Value::Object(top), true)
    }

    pub(super) fn dress(&self, value: Value, is_row: bool) -> Value {
        match value {
            Value::Object(map) => map
                .into_iter()
                .map(|(key, value)| {
                    let key = if self.switches.pascal && is_row { upper_first(&key) } else { key };
                    (key, self.dress(value, is_row))
                })
                .collect(),
            Value::Array(items) => items.into_iter().map(|item| self.dress(item, is_row)).collect(),
            Value::Bool(bit) if self.switches.bits_as_numbers => json!(u8::from(bit)),
            Value::String(text) if self.switches.zoneless && is_date(&text) => {
                json!(text.trim_end_matches('Z').trim_end_matches("+00:00"))
            }
            other => other,
        }
    }
}
