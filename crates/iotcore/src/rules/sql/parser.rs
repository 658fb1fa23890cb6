//! From tokens to a statement: recursive descent, nesting bounded by [`MAX_DEPTH`].

use fleetkey_model::topic::TopicFilter;
use serde_json::Value as Json;

use super::expr::{Expr, Operator, Step};
use super::functions::{Function, Type};
use super::lexer::{Kind, Token, tokens};
use super::{Field, MAX_SQL, Select, SqlError, SqlVersion, Statement};

/// How deep expressions may nest.
const MAX_DEPTH: usize = 32;

/// Words that are no names.
const KEYWORDS: [&str; 17] = [
    "select", "value", "from", "where", "as", "and", "or", "not", "in", "case", "when", "then", "else",
    "end", "exists", "set", "is",
];

/// Operators by precedence, the weakest first.
const LEVELS: [&[(&str, Operator)]; 5] = [
    &[("or", Operator::Or)],
    &[("and", Operator::And)],
    &[
        ("=", Operator::Equal),
        ("<>", Operator::NotEqual),
        ("!=", Operator::NotEqual),
        ("<", Operator::Less),
        ("<=", Operator::LessOrEqual),
        (">", Operator::Greater),
        (">=", Operator::GreaterOrEqual),
        ("in", Operator::In),
    ],
    &[("+", Operator::Add), ("-", Operator::Subtract)],
    &[("*", Operator::Multiply), ("/", Operator::Divide), ("%", Operator::Remainder)],
];
/// `NOT` stands between AND and the comparisons.
const COMPARISON: usize = 2;

/// Reads a whole statement.
pub(super) fn statement(text: &str, version: SqlVersion) -> Result<Statement, SqlError> {
    let mut parser = Parser::new(text, version)?;
    let select = parser.select()?;
    let from = if parser.word("from") { Some(parser.topic_filter()?) } else { None };
    let condition = if parser.word("where") { Some(parser.expr()?) } else { None };
    parser.end()?;
    Ok(Statement { version, from, select, condition })
}

/// Reads a whole expression.
pub(super) fn expression(text: &str, version: SqlVersion) -> Result<Expr, SqlError> {
    let mut parser = Parser::new(text, version)?;
    let expr = parser.expr()?;
    parser.end()?;
    Ok(expr)
}

struct Parser<'a> {
    text: &'a str,
    tokens: Vec<Token>,
    next: usize,
    depth: usize,
    version: SqlVersion,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str, version: SqlVersion) -> Result<Self, SqlError> {
        if text.len() > MAX_SQL {
            return Err(SqlError::new(MAX_SQL, format!("SQL longer than {MAX_SQL} bytes")));
        }
        Ok(Self { text, tokens: tokens(text)?, next: 0, depth: 0, version })
    }

    fn select(&mut self) -> Result<Select, SqlError> {
        if self.word("set") {
            return Err(self.error("SET is not supported by the local IoT Core"));
        }
        self.expect_word("select")?;
        if self.peek_word("value") && !self.follows(1, &[",", "."]) && !self.follows_word(1, &["as", "from"])
        {
            self.next += 1;
            return self.value();
        }
        let mut fields = vec![self.field()?];
        while self.symbol(",") {
            fields.push(self.field()?);
        }
        match fields.as_slice() {
            [Field::All] => Ok(Select::Everything),
            _ => Ok(Select::Fields(fields)),
        }
    }

    fn value(&mut self) -> Result<Select, SqlError> {
        if self.symbol("*") {
            return Ok(Select::Everything);
        }
        self.expr().map(Select::Value)
    }

    fn field(&mut self) -> Result<Field, SqlError> {
        if self.symbol("*") {
            return Ok(Field::All);
        }
        let start = self.at();
        let expr = self.expr()?;
        let end = self.last_end();
        if self.word("as") {
            let mut name = vec![self.name()?];
            while self.symbol(".") {
                name.push(self.name()?);
            }
            return Ok(Field::Named(name, expr));
        }
        let name = match &expr {
            Expr::Path(steps) | Expr::Member(_, steps) => last_key(steps),
            _ => None,
        };
        let source = || self.text.get(start..end).unwrap_or_default().to_owned();
        Ok(Field::Named(vec![name.unwrap_or_else(source)], expr))
    }

    /// Any word will do after `AS`, keyword or not.
    fn name(&mut self) -> Result<String, SqlError> {
        match self.peek() {
            Some(Kind::Word(word)) => {
                let word = word.clone();
                self.next += 1;
                Ok(word)
            }
            _ => Err(self.expected("a name")),
        }
    }

    fn topic_filter(&mut self) -> Result<TopicFilter, SqlError> {
        let Some(Kind::Text(text)) = self.peek() else {
            return Err(self.expected("a topic filter in quotes"));
        };
        let filter = TopicFilter::new(text.as_str());
        let filter = filter.map_err(|error| self.error(&format!("Bad topic filter: {error}")))?;
        self.next += 1;
        Ok(filter)
    }

    fn expr(&mut self) -> Result<Expr, SqlError> {
        self.nested(|parser| parser.level(0))
    }

    /// Runs `inner` one level deeper.
    fn nested(&mut self, inner: impl FnOnce(&mut Self) -> Result<Expr, SqlError>) -> Result<Expr, SqlError> {
        if self.depth >= MAX_DEPTH {
            return Err(self.error(&format!("Nested deeper than {MAX_DEPTH} levels")));
        }
        self.depth += 1;
        let expr = inner(self);
        self.depth -= 1;
        expr
    }

    fn level(&mut self, level: usize) -> Result<Expr, SqlError> {
        if level == COMPARISON && self.word("not") {
            let operand = self.nested(|parser| parser.level(COMPARISON))?;
            return Ok(Expr::Not(Box::new(operand)));
        }
        let Some(operators) = LEVELS.get(level) else { return self.unary() };
        let first = self.level(level + 1)?;
        let mut rest = Vec::new();
        while let Some(operator) = self.operator(operators) {
            rest.push((operator, self.level(level + 1)?));
        }
        Ok(if rest.is_empty() { first } else { Expr::Chain(Box::new(first), rest) })
    }

    fn operator(&mut self, operators: &[(&str, Operator)]) -> Option<Operator> {
        let spelling = match self.peek()? {
            Kind::Symbol(symbol) => symbol,
            Kind::Word(word) => word.as_str(),
            Kind::Number(_) | Kind::Text(_) => return None,
        };
        let found = operators.iter().find(|(own, _)| own.eq_ignore_ascii_case(spelling)).copied();
        self.next += usize::from(found.is_some());
        found.map(|(_, operator)| operator)
    }

    fn unary(&mut self) -> Result<Expr, SqlError> {
        if self.symbol("-") {
            let operand = self.nested(Self::unary)?;
            return Ok(Expr::Negate(Box::new(operand)));
        }
        let base = self.primary()?;
        let steps = self.steps()?;
        Ok(match base {
            base if steps.is_empty() => base,
            Expr::Path(mut path) => {
                path.extend(steps);
                Expr::Path(path)
            }
            base => Expr::Member(Box::new(base), steps),
        })
    }

    fn steps(&mut self) -> Result<Vec<Step>, SqlError> {
        let mut steps = Vec::new();
        loop {
            if self.symbol(".") {
                steps.push(Step::Key(self.name()?));
            } else if self.symbol("[") {
                steps.push(Step::Index(self.index()?));
                self.expect("]")?;
            } else {
                return Ok(steps);
            }
        }
    }

    fn index(&mut self) -> Result<usize, SqlError> {
        let index = match self.peek() {
            Some(Kind::Number(number)) => number.as_whole().and_then(|whole| usize::try_from(whole).ok()),
            _ => None,
        };
        let index = index.ok_or_else(|| self.expected("an index"))?;
        self.next += 1;
        Ok(index)
    }

    fn primary(&mut self) -> Result<Expr, SqlError> {
        let Some(kind) = self.peek().cloned() else { return Err(self.expected("an expression")) };
        match kind {
            Kind::Number(number) => {
                self.next += 1;
                let number = if self.version < SqlVersion::V2016 { number } else { number.normal() };
                number.json().map(Expr::Literal).ok_or_else(|| self.error("Bad number"))
            }
            Kind::Text(text) => {
                self.next += 1;
                Ok(Expr::Literal(Json::String(text)))
            }
            Kind::Word(word) => self.named(&word),
            Kind::Symbol("(") => self.parenthesis(),
            Kind::Symbol("[") => self.array(),
            Kind::Symbol("{") => self.object(),
            Kind::Symbol("@") => Err(self.error("Variables are not supported by the local IoT Core")),
            Kind::Symbol(_) => Err(self.expected("an expression")),
        }
    }

    fn parenthesis(&mut self) -> Result<Expr, SqlError> {
        self.next += 1;
        if self.peek_word("select") {
            return Err(self.error("Nested object queries are not supported by the local IoT Core"));
        }
        let inner = self.expr()?;
        self.expect(")")?;
        Ok(inner)
    }

    fn named(&mut self, word: &str) -> Result<Expr, SqlError> {
        let lower = word.to_ascii_lowercase();
        let call = self.follows(1, &["("]);
        match lower.as_str() {
            "true" => Ok(self.literal(Json::Bool(true))),
            "false" => Ok(self.literal(Json::Bool(false))),
            "null" => Ok(self.literal(Json::Null)),
            "undefined" => {
                self.next += 1;
                Ok(Expr::Undefined)
            }
            "case" => self.nested(Self::case),
            "cast" if call => self.cast(),
            "exists" => Err(self.error("EXISTS is not supported by the local IoT Core")),
            _ if call => self.call(word, &lower),
            // `value` is a keyword after SELECT only: fleets have members of that name.
            "value" | "set" | "is" => self.member(word),
            keyword if KEYWORDS.contains(&keyword) => Err(self.expected("an expression")),
            _ => self.member(word),
        }
    }

    #[allow(clippy::unnecessary_wraps, reason = "an arm of a match of results")]
    fn member(&mut self, word: &str) -> Result<Expr, SqlError> {
        self.next += 1;
        Ok(Expr::Path(vec![Step::Key(word.to_owned())]))
    }

    const fn literal(&mut self, value: Json) -> Expr {
        self.next += 1;
        Expr::Literal(value)
    }

    fn call(&mut self, word: &str, lower: &str) -> Result<Expr, SqlError> {
        let function = Function::named(lower).map_err(|why| self.error(&why.message(word)))?;
        let at = self.at();
        self.next += 2;
        let mut arguments = Vec::new();
        if !self.symbol(")") {
            loop {
                arguments.push(if self.symbol("*") { Expr::Payload } else { self.expr()? });
                if !self.symbol(",") {
                    break;
                }
            }
            self.expect(")")?;
        }
        if !function.takes(arguments.len()) {
            let count = arguments.len();
            return Err(SqlError::new(at, format!("Function {word} does not take {count} arguments")));
        }
        Ok(Expr::Call(function, arguments))
    }

    fn cast(&mut self) -> Result<Expr, SqlError> {
        self.next += 2;
        let value = self.expr()?;
        self.expect_word("as")?;
        let name = self.name()?;
        let target = Type::named(&name).ok_or_else(|| self.error(&format!("Unknown type {name}")))?;
        self.expect(")")?;
        Ok(Expr::Cast(Box::new(value), target))
    }

    fn case(&mut self) -> Result<Expr, SqlError> {
        self.next += 1;
        let subject = Box::new(self.expr()?);
        let mut arms = Vec::new();
        while self.word("when") {
            let test = self.expr()?;
            self.expect_word("then")?;
            arms.push((test, self.expr()?));
        }
        if arms.is_empty() {
            return Err(self.expected("WHEN"));
        }
        let otherwise = if self.word("else") { Some(Box::new(self.expr()?)) } else { None };
        self.expect_word("end")?;
        Ok(Expr::Case { subject, arms, otherwise })
    }

    fn array(&mut self) -> Result<Expr, SqlError> {
        self.begin_literal()?;
        let mut items = Vec::new();
        if !self.symbol("]") {
            items.push(self.expr()?);
            while self.symbol(",") {
                items.push(self.expr()?);
            }
            self.expect("]")?;
        }
        Ok(Expr::Array(items))
    }

    fn object(&mut self) -> Result<Expr, SqlError> {
        self.begin_literal()?;
        let mut members = Vec::new();
        if !self.symbol("}") {
            loop {
                let Some(Kind::Text(key)) = self.peek() else { return Err(self.expected("a key in quotes")) };
                let key = key.clone();
                self.next += 1;
                self.expect(":")?;
                members.push((key, self.expr()?));
                if !self.symbol(",") {
                    break;
                }
            }
            self.expect("}")?;
        }
        Ok(Expr::Object(members))
    }

    /// Developer Guide, iot-sql-literals: since 2016-03-23.
    fn begin_literal(&mut self) -> Result<(), SqlError> {
        if self.version < SqlVersion::V2016 {
            return Err(self.error("Literals need awsIotSqlVersion 2016-03-23"));
        }
        self.next += 1;
        Ok(())
    }

    // Tokens.

    fn peek(&self) -> Option<&Kind> {
        self.tokens.get(self.next).map(|token| &token.kind)
    }

    fn peek_word(&self, word: &str) -> bool {
        self.follows_word(0, &[word])
    }

    fn follows(&self, ahead: usize, symbols: &[&str]) -> bool {
        let kind = self.tokens.get(self.next + ahead).map(|token| &token.kind);
        matches!(kind, Some(Kind::Symbol(symbol)) if symbols.contains(symbol))
    }

    fn follows_word(&self, ahead: usize, words: &[&str]) -> bool {
        let kind = self.tokens.get(self.next + ahead).map(|token| &token.kind);
        matches!(kind, Some(Kind::Word(own)) if words.iter().any(|word| own.eq_ignore_ascii_case(word)))
    }

    fn word(&mut self, word: &str) -> bool {
        let found = self.peek_word(word);
        self.next += usize::from(found);
        found
    }

    fn symbol(&mut self, symbol: &str) -> bool {
        let found = self.follows(0, &[symbol]);
        self.next += usize::from(found);
        found
    }

    fn expect(&mut self, symbol: &str) -> Result<(), SqlError> {
        if self.symbol(symbol) { Ok(()) } else { Err(self.expected(&format!("{symbol:?}"))) }
    }

    fn expect_word(&mut self, word: &str) -> Result<(), SqlError> {
        if self.word(word) { Ok(()) } else { Err(self.expected(&word.to_ascii_uppercase())) }
    }

    fn end(&self) -> Result<(), SqlError> {
        if self.next >= self.tokens.len() { Ok(()) } else { Err(self.expected("the end")) }
    }

    fn at(&self) -> usize {
        self.tokens.get(self.next).map_or(self.text.len(), |token| token.start)
    }

    /// Where the last token that was taken ends.
    fn last_end(&self) -> usize {
        self.next.checked_sub(1).and_then(|last| self.tokens.get(last)).map_or(0, |token| token.end)
    }

    fn expected(&self, what: &str) -> SqlError {
        let found = self.tokens.get(self.next).and_then(|token| self.text.get(token.start..token.end));
        let found = found.map_or_else(|| "the end".to_owned(), |found| format!("{found:?}"));
        self.error(&format!("Expected {what}, found {found}"))
    }

    fn error(&self, what: &str) -> SqlError {
        SqlError::new(self.at(), what)
    }
}

fn last_key(steps: &[Step]) -> Option<String> {
    steps.iter().rev().find_map(|step| match step {
        Step::Key(key) => Some(key.clone()),
        Step::Index(_) => None,
    })
}
