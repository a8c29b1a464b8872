//! What a word is, the same for texts and for what is searched in them, whatever the store.

/// Words of one text that are indexed; what comes after them is not found.
pub const INDEXED_WORDS_MAX: usize = 16_000;
/// Characters that tell words apart; longer words are cut.
const KEY_CHARS_MAX: usize = 64;

/// A word of a text: `start..end` in bytes, and what it is compared by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) key: String,
}

/// The words of a text, as an index keeps them: lower case, without accents, letters and digits only.
/// Where words are written without spaces (Chinese, Japanese) each character is one.
///
/// ```
/// use mynah_domain::search::indexed_words;
/// let words: Vec<String> = indexed_words("Straße, Café: 東京!").collect();
/// assert_eq!(words, ["strasse", "cafe", "東", "京"]);
/// ```
pub fn indexed_words(text: &str) -> impl Iterator<Item = String> {
    words(text).map(|word| word.key).take(INDEXED_WORDS_MAX)
}

/// All words of a text, in order.
pub(super) fn words(text: &str) -> Words<'_> {
    Words { text, at: 0 }
}

pub(super) struct Words<'a> {
    text: &'a str,
    at: usize,
}

impl Iterator for Words<'_> {
    type Item = Word;

    fn next(&mut self) -> Option<Word> {
        let rest = self.text.get(self.at..)?;
        let first = rest.find(char::is_alphanumeric)?;
        let start = self.at + first;
        let (mut end, mut length, mut key) = (start, 0, String::new());
        for (offset, c) in rest.char_indices().skip_while(|(offset, _)| *offset < first) {
            let is_alone = stands_alone(c);
            if !(c.is_alphanumeric() || is_accent(c)) || (is_alone && end > start) {
                break;
            }
            end = self.at + offset + c.len_utf8();
            if length < KEY_CHARS_MAX {
                length += 1;
                push(&mut key, c);
            }
            if is_alone {
                break;
            }
        }
        self.at = end;
        Some(Word { start, end, key })
    }
}

fn push(key: &mut String, c: char) {
    for c in c.to_lowercase().filter(|c| !is_accent(*c)) {
        match plain(c) {
            Some(letters) => key.push_str(letters),
            None => key.push(c),
        }
    }
}

/// Accents that are characters of their own.
const fn is_accent(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36f}')
}

/// Kana and ideographs.
const fn stands_alone(c: char) -> bool {
    matches!(c, '\u{3041}'..='\u{30ff}' | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}'
        | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}')
}

/// A lower-case letter without its accent, if it has one: Latin and Greek letters, and ё.
fn plain(c: char) -> Option<&'static str> {
    vowel(c).or_else(|| consonant(c))
}

const fn vowel(c: char) -> Option<&'static str> {
    Some(match c {
        'à'..='å'
        | 'ā'
        | 'ă'
        | 'ą'
        | 'ǎ'
        | 'ạ'
        | 'ả'
        | 'ấ'
        | 'ầ'
        | 'ẩ'
        | 'ẫ'
        | 'ậ'
        | 'ắ'
        | 'ằ'
        | 'ẳ'
        | 'ẵ'
        | 'ặ' => "a",
        'æ' | 'ǽ' => "ae",
        'è'..='ë' | 'ē' | 'ĕ' | 'ė' | 'ę' | 'ě' | 'ẹ' | 'ẻ' | 'ẽ' | 'ế' | 'ề' | 'ể' | 'ễ' | 'ệ' => {
            "e"
        }
        'ì'..='ï' | 'ĩ' | 'ī' | 'ĭ' | 'į' | 'ı' | 'ǐ' | 'ỉ' | 'ị' => "i",
        'ò'..='ö'
        | 'ø'
        | 'ō'
        | 'ŏ'
        | 'ő'
        | 'ơ'
        | 'ǒ'
        | 'ọ'
        | 'ỏ'
        | 'ố'
        | 'ồ'
        | 'ổ'
        | 'ỗ'
        | 'ộ'
        | 'ớ'
        | 'ờ'
        | 'ở'
        | 'ỡ'
        | 'ợ' => "o",
        'œ' => "oe",
        'ù'..='ü'
        | 'ũ'
        | 'ū'
        | 'ŭ'
        | 'ů'
        | 'ű'
        | 'ų'
        | 'ư'
        | 'ǔ'
        | 'ụ'
        | 'ủ'
        | 'ứ'
        | 'ừ'
        | 'ử'
        | 'ữ'
        | 'ự' => "u",
        'ý' | 'ÿ' | 'ŷ' | 'ỳ' | 'ỵ' | 'ỷ' | 'ỹ' => "y",
        'ά' => "α",
        'έ' => "ε",
        'ή' => "η",
        'ί' | 'ϊ' | 'ΐ' => "ι",
        'ό' => "ο",
        'ύ' | 'ϋ' | 'ΰ' => "υ",
        'ώ' => "ω",
        'ё' => "е",
        _ => return None,
    })
}

const fn consonant(c: char) -> Option<&'static str> {
    Some(match c {
        'ç' | 'ć' | 'ĉ' | 'ċ' | 'č' => "c",
        'ď' | 'đ' | 'ð' => "d",
        'ĝ' | 'ğ' | 'ġ' | 'ģ' => "g",
        'ĥ' | 'ħ' => "h",
        'ĵ' => "j",
        'ķ' => "k",
        'ĺ' | 'ļ' | 'ľ' | 'ŀ' | 'ł' => "l",
        'ñ' | 'ń' | 'ņ' | 'ň' => "n",
        'ŕ' | 'ŗ' | 'ř' => "r",
        'ś' | 'ŝ' | 'ş' | 'š' | 'ș' => "s",
        'ß' => "ss",
        'ţ' | 'ť' | 'ŧ' | 'ț' => "t",
        'ŵ' | 'ẁ' | 'ẃ' | 'ẅ' => "w",
        'ź' | 'ż' | 'ž' => "z",
        'ς' => "σ",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(text: &str) -> Vec<String> {
        indexed_words(text).collect()
    }

    #[test]
    fn words_are_compared_without_case_accents_and_punctuation() {
        assert_eq!(
            keys("Don't PANIC, see foo-bar_2!"),
            ["don", "t", "panic", "see", "foo", "bar", "2"]
        );
        let cafe = ["cafe"];
        assert_eq!(keys("CAFÉ"), cafe);
        assert_eq!(keys("Cafe\u{301}"), cafe, "the accent is a character of its own");
        assert_eq!(keys("İstanbul ΆΡΗΣ Ёлка"), ["istanbul", "αρησ", "елка"]);
        assert_eq!(keys("私はBob1"), ["私", "は", "bob1"]);
        assert_eq!(keys(" …!? "), [""; 0]);
    }

    #[test]
    fn words_say_where_they_stand() {
        let text = "¡Olé, señor!";
        let found: Vec<&str> = words(text).map(|word| &text[word.start..word.end]).collect();
        assert_eq!(found, ["Olé", "señor"]);
    }

    #[test]
    fn long_words_and_texts_are_cut() {
        let long = "x".repeat(100);
        assert_eq!(keys(&long), ["x".repeat(KEY_CHARS_MAX)]);
        assert_eq!(words(&long).next().map(|word| word.end), Some(100), "it ends where it ends");
        assert_eq!(indexed_words(&"a ".repeat(20_000)).count(), INDEXED_WORDS_MAX);
    }
}
