#include "manual.hpp"

#include <algorithm>
#include <iostream>
#include <memory>

#include "option_binding.hpp"
#include "options.hpp"
#include "tempera/core/version.hpp"
#include "tempera/io/files.hpp"
#include "tempera/models/kinds.hpp"
#include "tempera/services/encode.hpp"
#include "tempera/services/features.hpp"
#include "tempera/services/likelihood.hpp"
#include "tempera/services/pruning.hpp"
#include "tempera/services/sampling.hpp"
#include "tempera/services/score.hpp"
#include "tempera/train/options.hpp"

namespace tempera::apps {
namespace {

std::vector<const CLI::App*> commands_of(const CLI::App& program) {
  const auto all = program.get_subcommands([](const CLI::App*) { return true; });
  return {all.begin(), all.end()};
}

bool is_positional(const CLI::Option& option) {
  return option.get_lnames().empty() && option.get_snames().empty();
}
bool is_flag(const CLI::Option& option) { return option.get_expected_max() == 0; }

/// "--name", of a flag with a contrary "--name, --no-name".
std::string flag_of(const CLI::Option& option) {
  std::string all;
  for (const std::string& name : option.get_snames()) all += (all.empty() ? "-" : ", -") + name;
  for (const std::string& name : option.get_lnames()) all += (all.empty() ? "--" : ", --") + name;
  return all.empty() ? option.get_name(true) : all;
}

/// Options that a command line may have, the positional ones apart.
std::vector<const CLI::Option*> options_of(const CLI::App& command) {
  std::vector<const CLI::Option*> all;
  for (const CLI::Option* option : command.get_options()) {
    if (!is_positional(*option)) all.push_back(option);
  }
  return all;
}

std::string replaced(std::string text, const std::string& old, const std::string& now) {
  for (std::size_t at = text.find(old); at != std::string::npos; at = text.find(old, at + now.size()))
    text.replace(at, old.size(), now);
  return text;
}

/// The first sentence of a text without what shells take for more.
std::string summary(const std::string& text) {
  std::string plain;
  for (const char c : text.substr(0, text.find_first_of(";:(\n"))) {
    if (std::string("'\"`$\\[]").find(c) == std::string::npos) plain += c;
  }
  while (!plain.empty() && plain.back() == ' ') plain.pop_back();
  return plain;
}

std::string joined(const std::vector<std::string>& words, const char* between = " ") {
  std::string all;
  for (const std::string& word : words) all += (all.empty() ? "" : between) + word;
  return all;
}

std::vector<std::string> flags_of_command(const CLI::App& command) {
  std::vector<std::string> flags;
  for (const CLI::Option* option : options_of(command)) {
    for (const std::string& name : option->get_lnames()) flags.push_back("--" + name);
  }
  return flags;
}

std::vector<std::string> names_of_commands(const CLI::App& program) {
  std::vector<std::string> names;
  for (const CLI::App* command : commands_of(program)) names.push_back(command->get_name());
  return names;
}

std::string bash_completion(const CLI::App& program, const OptionChoices& choices) {
  std::string text =
      "# bash completion of tempera\n_tempera() {\n  local word=${COMP_WORDS[COMP_CWORD]} "
      "before=${COMP_WORDS[COMP_CWORD-1]} command=${COMP_WORDS[1]} words=\n"
      "  if ((COMP_CWORD == 1)); then\n    COMPREPLY=($(compgen -W \"" +
      joined(names_of_commands(program)) +
      " help --help --version\" -- \"$word\"))\n    return\n  fi\n  case \"$command $before\" in\n";
  for (const auto& [option, names] : choices)
    text += "    \"" + option + "\") words=\"" + joined(names) + "\" ;;\n";
  text += "    help\\ help) words=\"" + joined(names_of_commands(program)) + " " + joined(topic_names()) +
          "\" ;;\n  esac\n  if [[ -z $words && $word == -* ]]; then\n    case $command in\n";
  for (const CLI::App* command : commands_of(program))
    text += "      " + command->get_name() + ") words=\"" + joined(flags_of_command(*command)) + "\" ;;\n";
  return text +
         "    esac\n  fi\n  if [[ -n $words ]]; then\n    COMPREPLY=($(compgen -W \"$words\" -- "
         "\"$word\"))\n  else\n"
         "    COMPREPLY=($(compgen -f -- \"$word\"))\n  fi\n}\ncomplete -o filenames -F _tempera tempera\n";
}

std::string zsh_completion(const CLI::App& program, const OptionChoices& choices) {
  std::string text =
      "#compdef tempera\n# zsh completion of tempera\nlocal -a found\nif ((CURRENT == 2)); then\n  found=(\n";
  for (const CLI::App* command : commands_of(program))
    text += "    '" + command->get_name() + ":" + summary(command->get_description()) + "'\n";
  text +=
      "    'help:of a command or a topic'\n  )\n  _describe command found\n  return\nfi\ncase \"${words[2]} "
      "${words[CURRENT-1]}\" in\n";
  for (const auto& [option, names] : choices)
    text += "  '" + option + "') compadd " + joined(names) + "; return ;;\n";
  text += "  'help help') compadd " + joined(names_of_commands(program)) + " " + joined(topic_names()) +
          "; return ;;\nesac\nif [[ ${words[CURRENT]} == -* ]]; then\n  case ${words[2]} in\n";
  for (const CLI::App* command : commands_of(program)) {
    text += "  " + command->get_name() + ") found=(\n";
    for (const CLI::Option* option : options_of(*command)) {
      for (const std::string& name : option->get_lnames())
        text += "    '--" + name + ":" + summary(option->get_description()) + "'\n";
    }
    text += "  ) ;;\n";
  }
  return text + "  esac\n  _describe option found\nelse\n  _files\nfi\n";
}

std::string fish_completion(const CLI::App& program, const OptionChoices& choices) {
  std::string text = "# fish completion of tempera\n";
  for (const CLI::App* command : commands_of(program))
    text += "complete -c tempera -n __fish_use_subcommand -f -a " + command->get_name() + " -d '" +
            summary(command->get_description()) + "'\n";
  text += "complete -c tempera -n __fish_use_subcommand -f -a help -d 'of a command or a topic'\n";
  text += "complete -c tempera -n '__fish_seen_subcommand_from help' -f -a '" +
          joined(names_of_commands(program)) + " " + joined(topic_names()) + "'\n";
  for (const CLI::App* command : commands_of(program)) {
    for (const CLI::Option* option : options_of(*command)) {
      for (const std::string& name : option->get_lnames()) {
        const auto found = choices.find(command->get_name() + " --" + name);
        text += "complete -c tempera -n '__fish_seen_subcommand_from " + command->get_name() + "' -l " +
                name +
                (is_flag(*option)         ? ""
                 : found == choices.end() ? " -r"
                                          : " -x -a '" + joined(found->second) + "'") +
                " -d '" + summary(option->get_description()) + "'\n";
      }
    }
  }
  return text;
}

/// As man takes it.
std::string troff(const std::string& text) {
  std::string safe = replaced(replaced(text, "\\", "\\e"), "-", "\\-");
  if (!safe.empty() && (safe.front() == '.' || safe.front() == '\'')) safe = "\\&" + safe;
  return replaced(replaced(safe, "\n.", "\n\\&."), "\n'", "\n\\&'");
}

std::string man_of_option(const CLI::Option& option) {
  std::string text = ".TP\n.B " + troff(flag_of(option)) +
                     (is_flag(option) || is_positional(option) ? "" : " \\fIVALUE\\fR") + "\n" +
                     troff(option.get_description());
  if (!option.get_default_str().empty() && !is_flag(option))
    text += " (default: " + troff(option.get_default_str()) + ")";
  return text + "\n";
}

/// What a usage line says after the name of the command.
std::string usage_of(const CLI::App& command) {
  std::string text;
  for (const CLI::Option* option : command.get_options()) {
    if (is_positional(*option))
      text += " " + option->get_name(true) + (option->get_expected_max() > 1 ? "..." : "");
  }
  return text + " [OPTIONS]";
}

template <class T>
struct ChoiceNames {
  static std::vector<std::string> all() { return {}; }
};
template <Named E>
struct ChoiceNames<E> {
  static std::vector<std::string> all() {
    std::vector<std::string> names;
    for (const NamedValue<E>& row : Names<E>::table) names.emplace_back(row.name);
    return names;
  }
};
template <class T>
struct ChoiceNames<std::optional<T>> : ChoiceNames<T> {};
template <Named E>
struct ChoiceNames<Leveled<E>> : ChoiceNames<E> {};
template <Named E, class Number>
struct ChoiceNames<std::variant<E, Number>> : ChoiceNames<E> {};

template <class Options>
void add_choices(const std::string& command, OptionChoices& choices) {
  const Options any;
  Options::visit(
      [&]<class T>(const OptionText& text, const T&) {
        if (auto names = ChoiceNames<T>::all(); !names.empty())
          choices[command + " --" + text.name] = std::move(names);
      },
      any);
}

/// A table of names with what they mean.
template <Named E>
std::string table_of() {
  std::size_t width = 0;
  for (const NamedValue<E>& row : Names<E>::table) width = std::max(width, row.name.size());
  std::string text;
  for (const NamedValue<E>& row : Names<E>::table)
    text += "  " + std::string(row.name) + std::string(width + 2 - row.name.size(), ' ') +
            std::string(row.help) + "\n";
  return text;
}

std::string topic_of_files() {
  return "A run directory holds\n"
         "  config.toml       every option of the run; tempera train --config FILE --out DIR repeats it\n"
         "  checkpoint.h5     the latest state: tempera resume DIR goes on from it\n"
         "  best.h5           the best validated model, of a run that validates; other commands take it for "
         "the run's\n"
         "  checkpoints/      kept states by their updates\n"
         "  metrics.csv       one row for each report, readable while training runs\n"
         "  data.h5           the cases, of a run that was given arrays\n"
         "  curves.png, features.png, samples.png\n"
         "\nMODEL is a run directory, a checkpoint, a model file, or a file of another toolkit. A model file "
         "is HDF5 with /model/params and the\n"
         "attribute kind of /model: a few lines of h5py write one. tempera info FILE says in words what is "
         "in a file.\n"
         "Every file is written to a temporary name and renamed: a reader never sees half of one.\n";
}

std::string topic_of_data() {
  return "D is a built-in set (digits, bars-and-stripes, modes:SEED, colours-positions, fashion-mnist) or a "
         "file. What a file is, its content tells:\n"
         "HDF5 (also MATLAB 7.3 and AnnData), .npy, .npz, IDX, CSV and its kin, JSON of counts; each plain "
         "or packed by gzip.\n"
         "FILE:NAME takes an array of a file. Splits are called train, valid and test.\n"
         "\nBinary machines take 0 and 1, also -1 and 1. Grey values need --binarize:\n" +
         table_of<BinarizeMethod>() +
         "\n--labels COLUMN and --weights COLUMN take columns out, --drop and --columns choose, --missing "
         "says what becomes of gaps:\n" +
         table_of<MissingRule>() +
         "\ntempera data D describes a set; with --out it converts, whitens, cuts patches and splits.\n";
}

std::string topic_of_methods() {
  return "Where the chains of training come from (--trainer):\n" + table_of<Trainer>() +
         "\nlog Z of a machine (tempera loglik --method):\n" + table_of<LikelihoodMethod>() +
         "\nWhat helps samples to mix (tempera sample --ladder):\n" + table_of<SampleLadder>() +
         "\nWhat turns a gradient into a step (--metric; none is --optimizer):\n" + table_of<MetricKind>() +
         "\nValues are in nats, with natural logarithms; likelihoods are means of a case.\n";
}

std::string topic_of_errors() {
  return "Exit codes:\n"
         "  0    done\n"
         "  64   usage: the command line asks for what there is not\n"
         "  65   data: a file is there, and not what it must be\n"
         "  66   no input: a file or a data set does not exist\n"
         "  70   numerical: training diverged, an estimate contradicts itself, memory ran out\n"
         "  74   a file could not be written; what was there before still is\n"
         "  78   configuration: options that cannot be, all of them named\n"
         "  130  stopped by a signal, after a checkpoint was written\n"
         "\nMessages name the file, the field, what was expected and what was found. Warnings begin with "
         "\"tempera: warning:\".\n";
}

}  // namespace

std::string completion(const CLI::App& program, const OptionChoices& choices, const std::string& shell) {
  if (shell == "bash") return bash_completion(program, choices);
  if (shell == "zsh") return zsh_completion(program, choices);
  if (shell == "fish") return fish_completion(program, choices);
  throw UsageError("completion: '" + shell + "' is none of bash, zsh and fish");
}

std::string man_page(const CLI::App& program, const std::string& command) {
  const std::string title = command.empty() ? "tempera" : "tempera-" + command;
  const CLI::App& app = command.empty() ? program : *program.get_subcommand(command);
  std::string text =
      ".TH " + replaced(title, "-", "\\-") + " 1 \"\" \"tempera " + std::string(version()) +
      "\" \"Tempera\"\n.SH NAME\n" + troff(title) + " \\- " + troff(app.get_description()) +
      "\n.SH SYNOPSIS\n.B tempera" +
      (command.empty() ? " \\fICOMMAND\\fR [OPTIONS]" : " " + command + "\\fR" + troff(usage_of(app))) + "\n";
  if (command.empty()) {
    text += ".SH COMMANDS\n";
    for (const CLI::App* one : commands_of(program))
      text += ".TP\n.BR tempera\\-" + one->get_name() + " (1)\n" + troff(one->get_description()) + "\n";
    for (const std::string& name : topic_names())
      text += ".SH \"" + name + "\"\n.nf\n" + troff(topic(name)) + ".fi\n";
    return text;
  }
  text += ".SH ARGUMENTS AND OPTIONS\n";
  for (const CLI::Option* option : app.get_options()) {
    if (is_positional(*option)) text += man_of_option(*option);
  }
  std::string group;
  for (const CLI::Option* option : options_of(app)) {
    if (option->get_group() != group) {
      group = option->get_group();
      if (!group.empty() && group != "Options") text += ".SS " + troff(group) + "\n";
    }
    text += man_of_option(*option);
  }
  return text + ".SH SEE ALSO\n.BR tempera (1)\n";
}

std::string reference_page(const CLI::App& program) {
  std::string text =
      "# Commands\n\nEvery option with its default, as `tempera COMMAND --help-all` prints it.\n";
  const auto cell = [](const std::string& words) { return replaced(replaced(words, "|", "\\|"), "\n", " "); };
  for (const CLI::App* command : commands_of(program)) {
    text += "\n## tempera " + command->get_name() + "\n\n" + command->get_description() +
            ".\n\n```\ntempera " + command->get_name() + usage_of(*command) +
            "\n```\n\n| option | meaning | default |\n|---|---|---|\n";
    for (const CLI::Option* option : command->get_options()) {
      text += "| `" + flag_of(*option) + "` | " + cell(option->get_description()) + " | " +
              (is_flag(*option) || option->get_default_str().empty()
                   ? ""
                   : "`" + cell(option->get_default_str()) + "`") +
              " |\n";
    }
  }
  return text;
}

OptionChoices all_choices() {
  OptionChoices choices;
  add_choices<TrainOptions>("train", choices);
  add_choices<TrainOptions>("resume", choices);
  add_choices<LikelihoodOptions>("loglik", choices);
  add_choices<ScoreOptions>("score", choices);
  add_choices<SamplingOptions>("sample", choices);
  add_choices<EncodeOptions>("encode", choices);
  add_choices<FeatureOptions>("features", choices);
  add_choices<PruneOptions>("prune", choices);
  std::vector<std::string>& kinds = choices["train --model"];
  for (const Kind& kind : all_kinds()) {
    if (std::find(kinds.begin(), kinds.end(), kind.kind) == kinds.end()) kinds.emplace_back(kind.kind);
  }
  choices["completion completion"] = {"bash", "zsh", "fish"};  // the word before is the command
  return choices;
}

std::vector<std::string> topic_names() { return {"files", "data", "methods", "errors"}; }

std::string topic(const std::string& name) {
  if (name == "files") return topic_of_files();
  if (name == "data") return topic_of_data();
  if (name == "methods") return topic_of_methods();
  if (name == "errors") return topic_of_errors();
  return "";
}

namespace {

struct ManualOptions {
  std::string command;
  std::string shell;
  std::string all;
  bool reference = false;
};

/// Every page and script where an installation has them below `share`.
void write_all(const CLI::App& program, const std::filesystem::path& share) {
  const auto write = [&](const std::filesystem::path& file, const std::string& text) {
    make_directories((share / file).parent_path());
    write_file(share / file, text);
  };
  write("man/man1/tempera.1", man_page(program, ""));
  for (const std::string& name : names_of_commands(program))
    write("man/man1/tempera-" + name + ".1", man_page(program, name));
  write("bash-completion/completions/tempera", completion(program, all_choices(), "bash"));
  write("zsh/vendor-completions/_tempera", completion(program, all_choices(), "zsh"));
  write("fish/vendor_completions.d/tempera.fish", completion(program, all_choices(), "fish"));
}

}  // namespace

void setup_manual(CLI::App& program, int& /*exit_code*/) {
  auto options = std::make_shared<ManualOptions>();
  CLI::App& man =
      *program.add_subcommand("man", "a page of the manual, for man: tempera man train | man -l -");
  man.add_option("COMMAND", options->command, "the command; without it, the page of the program");
  man.add_option("--all", options->all, "every page and every script of completion, below this directory");
  man.add_flag("--reference", options->reference, "every option of every command, in Markdown");
  man.callback([options, &program] {
    if (!options->all.empty()) return write_all(program, options->all);
    const std::vector<std::string> names = names_of_commands(program);
    if (!options->command.empty() && std::find(names.begin(), names.end(), options->command) == names.end())
      throw UsageError("man: no command '" + options->command + "'");
    std::cout << (options->reference ? reference_page(program) : man_page(program, options->command))
              << std::flush;
  });
  CLI::App& complete = *program.add_subcommand(
      "completion", "a script that completes options: source <(tempera completion bash)");
  complete.add_option("SHELL", options->shell, "bash, zsh or fish")->required();
  complete.callback(
      [options, &program] { std::cout << completion(program, all_choices(), options->shell) << std::flush; });
}

}  // namespace tempera::apps
