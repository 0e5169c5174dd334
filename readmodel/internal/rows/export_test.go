package rows

// UpdateAccounts is the statement that updates accounts' rows.
const UpdateAccounts = updateAccounts
