//! The words and signs of an expression.

use super::refusal::Refusal;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    Word(String),
    /// `#name`
    Name(String),
    /// `:value`
    Value(String),
    Sign(&'static str),
}

/// Signs of two characters stand before those that they begin with.
const SIGNS: [&str; 11] = ["<>", "<=", ">=", "=", "<", ">", "(", ")", ",", "+", "-"];

pub(crate) struct Lexer {
    text: String,
    tokens: Vec<Token>,
    at: usize,
}

impl Lexer {
    pub(crate) fn new(text: &str) -> Result<Lexer, Refusal> {
        let mut lexer = Lexer { text: text.to_owned(), tokens: vec![], at: 0 };
        let mut rest = text.trim_start();
        while let Some(first) = rest.chars().next() {
            let token = if let Some(sign) = SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
                rest = &rest[sign.len()..];
                Token::Sign(sign)
            } else {
                let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
                let end = rest[first.len_utf8()..].find(|c| !is_word(c)).map_or(rest.len(), |n| n + first.len_utf8());
                let (word, behind) = rest.split_at(end);
                rest = behind;
                match first {
                    '#' if word.len() > 1 => Token::Name(word.to_owned()),
                    ':' if word.len() > 1 => Token::Value(word.to_owned()),
                    _ if first.is_ascii_alphabetic() => Token::Word(word.to_owned()),
                    _ => return Err(lexer.refusal(&format!("{first:?} is not known"))),
                }
            };
            lexer.tokens.push(token);
            rest = rest.trim_start();
        }
        Ok(lexer)
    }

    pub(crate) fn next(&mut self) -> Option<Token> {
        let token = self.tokens.get(self.at).cloned();
        self.at += 1;
        token
    }

    /// Takes the sign if it is next.
    pub(crate) fn eat(&mut self, sign: &'static str) -> bool {
        let is_next = self.tokens.get(self.at) == Some(&Token::Sign(sign));
        self.at += usize::from(is_next);
        is_next
    }

    /// Takes the keyword, in upper or lower case, if it is next.
    pub(crate) fn eat_word(&mut self, keyword: &str) -> bool {
        let is_next = matches!(self.tokens.get(self.at), Some(Token::Word(word)) if word.eq_ignore_ascii_case(keyword));
        self.at += usize::from(is_next);
        is_next
    }

    /// Takes the name of a function and its parenthesis if they are next.
    pub(crate) fn function(&mut self) -> Option<String> {
        match self.tokens.get(self.at..self.at + 2)? {
            [Token::Word(name), Token::Sign("(")] => {
                let name = name.clone();
                self.at += 2;
                Some(name)
            }
            _ => None,
        }
    }

    pub(crate) fn expect(&mut self, sign: &'static str) -> Result<(), Refusal> {
        if self.eat(sign) { Ok(()) } else { Err(self.refusal(&format!("{sign} is missing"))) }
    }

    pub(crate) fn is_at_end(&self) -> bool {
        self.at >= self.tokens.len()
    }

    pub(crate) fn end(&self) -> Result<(), Refusal> {
        if self.is_at_end() { Ok(()) } else { Err(self.refusal("it goes on where it should end")) }
    }

    pub(crate) fn refusal(&self, why: &str) -> Refusal {
        Refusal::validation(format!("Invalid expression `{}`: {why}", self.text))
    }
}
