//! Condition expressions: read strictly, then held against an item.

use std::cell::RefCell;
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use super::item::{Attribute, Item};
use super::lexer::{Lexer, Token};
use super::refusal::Refusal;

/// The names and values that expressions may use, and those that they did use.
pub(crate) struct Names<'a> {
    names: &'a BTreeMap<String, String>,
    values: &'a BTreeMap<String, Attribute>,
    used: RefCell<BTreeSet<String>>,
}

impl<'a> Names<'a> {
    pub(crate) fn new(names: &'a BTreeMap<String, String>, values: &'a BTreeMap<String, Attribute>) -> Names<'a> {
        Names { names, values, used: RefCell::default() }
    }

    fn name(&self, name: &str) -> Result<String, Refusal> {
        self.used.borrow_mut().insert(name.to_owned());
        let found = self.names.get(name).cloned();
        found.ok_or_else(|| Refusal::validation(format!("An expression attribute name is not defined: {name}")))
    }

    fn value(&self, name: &str) -> Result<&'a Attribute, Refusal> {
        self.used.borrow_mut().insert(name.to_owned());
        let found = self.values.get(name);
        found.ok_or_else(|| Refusal::validation(format!("An expression attribute value is not defined: {name}")))
    }

    /// DynamoDB refuses names and values that no expression uses. To be called after all were read.
    pub(crate) fn check_used(&self) -> Result<(), Refusal> {
        let used = self.used.borrow();
        let unused: Vec<&String> =
            self.names.keys().chain(self.values.keys()).filter(|name| !used.contains(*name)).collect();
        if unused.is_empty() {
            return Ok(());
        }
        Err(Refusal::validation(format!("Names or values are given that no expression uses: {unused:?}")))
    }
}

#[derive(Debug)]
pub(crate) enum Operand<'a> {
    Path(String),
    Value(&'a Attribute),
}

impl<'a> Operand<'a> {
    fn of<'i>(&'i self, item: Option<&'i Item>) -> Option<&'i Attribute>
    where
        'a: 'i,
    {
        match self {
            Operand::Path(path) => item?.get(path),
            Operand::Value(value) => Some(value),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Debug)]
pub(crate) enum Condition<'a> {
    Exists(String),
    Compare(Operand<'a>, Comparison, Operand<'a>),
    Between(Operand<'a>, Operand<'a>, Operand<'a>),
    BeginsWith(Operand<'a>, Operand<'a>),
    Not(Box<Condition<'a>>),
    And(Box<Condition<'a>>, Box<Condition<'a>>),
    Or(Box<Condition<'a>>, Box<Condition<'a>>),
}

impl Condition<'_> {
    /// Whether it holds of an item, or of none.
    pub(crate) fn holds(&self, item: Option<&Item>) -> bool {
        match self {
            Condition::Exists(path) => item.is_some_and(|item| item.contains_key(path)),
            Condition::Compare(left, comparison, right) => compare(left.of(item), *comparison, right.of(item)),
            Condition::Between(value, low, high) => {
                compare(value.of(item), Comparison::GreaterOrEqual, low.of(item))
                    && compare(value.of(item), Comparison::LessOrEqual, high.of(item))
            }
            Condition::BeginsWith(value, prefix) => match (value.of(item), prefix.of(item)) {
                (Some(Attribute::S(value)), Some(Attribute::S(prefix))) => value.starts_with(prefix.as_str()),
                _ => false,
            },
            Condition::Not(condition) => !condition.holds(item),
            Condition::And(left, right) => left.holds(item) && right.holds(item),
            Condition::Or(left, right) => left.holds(item) || right.holds(item),
        }
    }
}

/// What is missing, or of another type, is only unequal.
fn compare(left: Option<&Attribute>, comparison: Comparison, right: Option<&Attribute>) -> bool {
    let (Some(left), Some(right)) = (left, right) else { return comparison == Comparison::NotEqual };
    let ordering = match (left, right) {
        (Attribute::S(left), Attribute::S(right)) => Some(left.cmp(right)),
        _ => match (left.number(), right.number()) {
            (Some(left), Some(right)) => Some(left.cmp(&right)),
            _ => (left == right).then_some(Ordering::Equal),
        },
    };
    match comparison {
        Comparison::Equal => ordering == Some(Ordering::Equal),
        Comparison::NotEqual => ordering != Some(Ordering::Equal),
        Comparison::Less => ordering == Some(Ordering::Less),
        Comparison::LessOrEqual => ordering.is_some_and(Ordering::is_le),
        Comparison::Greater => ordering == Some(Ordering::Greater),
        Comparison::GreaterOrEqual => ordering.is_some_and(Ordering::is_ge),
    }
}

/// Reads a condition or key condition expression.
pub(crate) fn condition<'a>(text: &str, names: &Names<'a>) -> Result<Condition<'a>, Refusal> {
    let mut reader = Reader { lexer: Lexer::new(text)?, names };
    let condition = reader.or()?;
    reader.lexer.end()?;
    Ok(condition)
}

/// Reads a projection expression: the names of attributes.
pub(crate) fn projection(text: &str, names: &Names<'_>) -> Result<Vec<String>, Refusal> {
    let mut reader = Reader { lexer: Lexer::new(text)?, names };
    let mut paths = vec![reader.path()?];
    while reader.lexer.eat(",") {
        paths.push(reader.path()?);
    }
    reader.lexer.end()?;
    Ok(paths)
}

pub(crate) struct Reader<'n, 'a> {
    pub(crate) lexer: Lexer,
    pub(crate) names: &'n Names<'a>,
}

impl<'a> Reader<'_, 'a> {
    fn or(&mut self) -> Result<Condition<'a>, Refusal> {
        let mut left = self.and()?;
        while self.lexer.eat_word("OR") {
            left = Condition::Or(Box::new(left), Box::new(self.and()?));
        }
        Ok(left)
    }

    fn and(&mut self) -> Result<Condition<'a>, Refusal> {
        let mut left = self.not()?;
        while self.lexer.eat_word("AND") {
            left = Condition::And(Box::new(left), Box::new(self.not()?));
        }
        Ok(left)
    }

    fn not(&mut self) -> Result<Condition<'a>, Refusal> {
        if self.lexer.eat_word("NOT") {
            return Ok(Condition::Not(Box::new(self.not()?)));
        }
        if self.lexer.eat("(") {
            let inner = self.or()?;
            self.lexer.expect(")")?;
            return Ok(inner);
        }
        match self.lexer.function() {
            Some(function) => self.function(&function),
            None => self.comparison(),
        }
    }

    fn function(&mut self, function: &str) -> Result<Condition<'a>, Refusal> {
        let condition = match function {
            "attribute_exists" => Condition::Exists(self.path()?),
            "attribute_not_exists" => Condition::Not(Box::new(Condition::Exists(self.path()?))),
            "begins_with" => {
                let value = self.operand()?;
                self.lexer.expect(",")?;
                Condition::BeginsWith(value, self.operand()?)
            }
            _ => return Err(self.lexer.refusal(&format!("the function {function} is not known"))),
        };
        self.lexer.expect(")")?;
        Ok(condition)
    }

    fn comparison(&mut self) -> Result<Condition<'a>, Refusal> {
        let left = self.operand()?;
        if self.lexer.eat_word("BETWEEN") {
            let low = self.operand()?;
            if !self.lexer.eat_word("AND") {
                return Err(self.lexer.refusal("BETWEEN wants AND"));
            }
            let high = self.operand()?;
            if let (Operand::Value(low), Operand::Value(high)) = (&low, &high)
                && !compare(Some(low), Comparison::LessOrEqual, Some(high))
            {
                return Err(self.lexer.refusal("the bounds of BETWEEN are not in order"));
            }
            return Ok(Condition::Between(left, low, high));
        }
        let comparison = match self.lexer.next() {
            Some(Token::Sign("=")) => Comparison::Equal,
            Some(Token::Sign("<>")) => Comparison::NotEqual,
            Some(Token::Sign("<")) => Comparison::Less,
            Some(Token::Sign("<=")) => Comparison::LessOrEqual,
            Some(Token::Sign(">")) => Comparison::Greater,
            Some(Token::Sign(">=")) => Comparison::GreaterOrEqual,
            other => return Err(self.lexer.refusal(&format!("{other:?} is not a comparison"))),
        };
        Ok(Condition::Compare(left, comparison, self.operand()?))
    }

    pub(crate) fn path(&mut self) -> Result<String, Refusal> {
        match self.operand()? {
            Operand::Path(path) => Ok(path),
            Operand::Value(_) => Err(self.lexer.refusal("a value stands where an attribute is to be named")),
        }
    }

    pub(crate) fn operand(&mut self) -> Result<Operand<'a>, Refusal> {
        match self.lexer.next() {
            Some(Token::Word(path)) => Ok(Operand::Path(path)),
            Some(Token::Name(name)) => Ok(Operand::Path(self.names.name(&name)?)),
            Some(Token::Value(name)) => Ok(Operand::Value(self.names.value(&name)?)),
            other => Err(self.lexer.refusal(&format!("{other:?} is not an attribute or a value"))),
        }
    }
}
