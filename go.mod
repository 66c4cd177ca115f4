module onset

go 1.26
