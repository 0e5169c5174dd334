package readmodel

// Room is how many connections a server lets a user have, and how many there
// are, each for the whole server, the database and the user. A limit below 0 is
// none.
type Room struct {
	server, serverUsed     int
	database, databaseUsed int
	user, userUsed         int
}
