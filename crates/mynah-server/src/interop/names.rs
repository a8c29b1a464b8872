//! Names of Socket.IO rooms on Node servers.

use mynah_domain::{RoomId, UserId};

/// How conversations and users are called there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    room: Template,
    user: Option<Template>,
}

/// Text before and after an id.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Template {
    before: String,
    after: String,
}

impl Template {
    fn new(text: &str, place: &str) -> Self {
        let (before, after) = text.split_once(place).unwrap_or((text, ""));
        Self { before: before.to_owned(), after: after.to_owned() }
    }

    fn write(&self, id: &str) -> String {
        format!("{}{id}{}", self.before, self.after)
    }

    fn read<'a>(&self, name: &'a str) -> Option<&'a str> {
        name.strip_prefix(&*self.before)?.strip_suffix(&*self.after)
    }
}

impl Names {
    /// From `{room}` and, e.g., `user:{user}`.
    pub fn new(room: &str, user: &str) -> Self {
        let user = (!user.is_empty()).then(|| Template::new(user, "{user}"));
        Self { room: Template::new(room, "{room}"), user }
    }

    /// What a conversation is called.
    pub fn of_room(&self, room: &RoomId) -> String {
        self.room.write(room.as_str())
    }

    /// What a user's connections are called, if they are.
    pub fn of_user(&self, user: &UserId) -> Option<String> {
        self.user.as_ref().map(|template| template.write(user.as_str()))
    }

    /// The conversation of a name.
    pub fn room(&self, name: &str) -> Option<RoomId> {
        RoomId::parse(self.room.read(name)?).ok()
    }

    /// The user of a name.
    pub fn user(&self, name: &str) -> Option<UserId> {
        UserId::parse(self.user.as_ref()?.read(name)?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        let names = Names::new("chat:{room}:all", "user:{user}");
        let (room, user) = (RoomId::trusted("r1"), UserId::trusted("ann"));
        assert_eq!(names.of_room(&room), "chat:r1:all");
        assert_eq!(names.room("chat:r1:all"), Some(room.clone()));
        assert_eq!(names.room("r1"), None);
        assert_eq!(names.of_user(&user).as_deref(), Some("user:ann"));
        assert_eq!(names.user("user:ann"), Some(user));
        assert_eq!(Names::new("{room}", "").room("r1"), Some(room));
        assert_eq!(Names::new("{room}", "").user("user:ann"), None);
    }
}
