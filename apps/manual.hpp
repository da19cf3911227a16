// The command's own words about itself, as shells, manuals and the pages of the documentation take them.
#pragma once

#include <CLI/CLI.hpp>
#include <map>
#include <string>
#include <vector>

namespace tempera::apps {

/// Names that an option may have for a value, by command and option ("train --trainer").
using OptionChoices = std::map<std::string, std::vector<std::string>>;

/// A script that completes commands, options, their choices and names of files. Throws UsageError for another
/// shell than bash, zsh and fish.
std::string completion(const CLI::App& program, const OptionChoices& choices, const std::string& shell);

/// A page of the manual in the language of man: of the program, or of a command.
std::string man_page(const CLI::App& program, const std::string& command);

/// Every option of every command in Markdown.
std::string reference_page(const CLI::App& program);

/// Of every command.
OptionChoices all_choices();

/// What `tempera help TOPIC` prints, or nothing where there is no such topic.
std::string topic(const std::string& name);
std::vector<std::string> topic_names();

}  // namespace tempera::apps
